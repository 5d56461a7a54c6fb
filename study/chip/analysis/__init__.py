"""Tells what the settings score and need, and what advice is worth on a task that was left out."""
