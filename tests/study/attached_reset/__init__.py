"""Tests of the analysis of the attached reset."""
