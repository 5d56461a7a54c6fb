"""Builds the static site: pages of plain values from boards and records, put into templates without logic."""
