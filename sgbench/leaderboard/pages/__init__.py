"""Writes a board as Markdown, as CSV and JSON, and as sentences."""
