"""Decides the hypotheses of the second study, and holds what they were planned with."""
