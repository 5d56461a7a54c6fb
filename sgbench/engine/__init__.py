"""Runs layers over time, forward and backward, in one of six ways with the same result."""
