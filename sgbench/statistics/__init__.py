"""Computes intervals, tests, ranks and power from plain numbers."""
