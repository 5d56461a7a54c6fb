"""Keeps the boards of this repository: accepts what is handed in, audits and withdraws rows, makes releases."""
