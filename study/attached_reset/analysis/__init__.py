"""Decides which settings serve recurrent networks from quiet and driven starts, and up to which height."""
