"""Writes a board as Markdown, as values for computing, and as sentences."""
