"""Computes the curves and facts of a catalogue entry or data set that `show` and `compare` print or draw."""
