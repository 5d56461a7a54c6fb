"""Writes the pages of the report on surrogates, each from its evidence to text and pictures."""
