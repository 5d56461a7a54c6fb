"""Runs layers of spiking neurons over time, forward and backward, in one of six ways with the same result."""
