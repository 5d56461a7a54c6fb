"""Runs layers over time, forward and backward, in one of four ways with the same result."""
