"""Writes the pages of a study's report, each from its scores to text and pictures."""
