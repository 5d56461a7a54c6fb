"""Scores one split and measures the firing of each layer, batch by batch."""
