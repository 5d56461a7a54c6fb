"""Writes the report of any study from its store, plans what would decide claims, and puts runs on boards."""
