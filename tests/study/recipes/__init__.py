"""Tests of the analysis of recipes."""
