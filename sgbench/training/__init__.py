"""Turns a checked spec into objects, trains and tests them, and writes the record."""
