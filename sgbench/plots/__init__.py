"""Holds the style of all pictures, and draws those of plain numbers."""
