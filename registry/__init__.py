"""Keeps the boards of this repository: accepts what is handed in, audits rows, makes releases and the site."""
