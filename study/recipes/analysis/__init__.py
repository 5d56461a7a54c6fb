"""Tells whether the width that is best at a constant rate stays good under other ways to train."""
