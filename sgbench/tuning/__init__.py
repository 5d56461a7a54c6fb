"""Searches a method's settings within its protocol's space and budget, the same for every method."""
