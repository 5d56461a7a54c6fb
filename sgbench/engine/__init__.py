"""Runs layers over time, forward and backward, in one of five ways with the same result."""
