"""Draws every picture, all in one style."""
