"""Trains many runs of a sweep side by side in each process."""
