"""Draws the pictures that this report alone has."""
