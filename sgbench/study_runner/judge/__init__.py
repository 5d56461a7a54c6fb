"""Judges a surrogate from its own runs against the known shapes of a study, each at its own best."""
