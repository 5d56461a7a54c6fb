"""Tests of the check of the advice."""
