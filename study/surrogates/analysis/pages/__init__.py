"""Writes the pages of the report on surrogates, each from its findings to text and pictures."""
