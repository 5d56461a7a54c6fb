"""Defines the values exchanged by data sets, encoders, networks and losses, and a run's random generators."""
