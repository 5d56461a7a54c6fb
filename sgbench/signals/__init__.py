"""Defines what flows between the parts: spikes, batches, trajectories and random streams."""
