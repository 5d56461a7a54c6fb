"""Tools for those who work on sgbench: pages of entries, the documentation, measures of the code."""
