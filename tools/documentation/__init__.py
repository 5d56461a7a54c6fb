"""Builds the documentation: pages from docstrings, links that leave docs/, and a check of the whole site."""
