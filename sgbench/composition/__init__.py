"""Reads the catalogue in `conf/` and turns words into checked specs, without torch."""
