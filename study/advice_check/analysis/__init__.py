"""Judges what `sgbench recommend` prints by runs of seeds that had no part in it."""
