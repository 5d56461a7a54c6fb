"""Makes, checks and accepts folders of results that people hand in."""
