"""Follows one call of a user's network, and replays it for all time steps at once."""
