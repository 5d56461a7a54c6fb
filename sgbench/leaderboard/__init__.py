"""Measures, ranks and compares the methods of a protocol from their records."""
