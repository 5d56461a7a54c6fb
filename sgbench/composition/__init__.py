"""Reads the catalogue in `conf/` and turns overrides into checked specs, without torch."""
