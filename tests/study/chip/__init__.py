"""Tests of the report on budgets."""
