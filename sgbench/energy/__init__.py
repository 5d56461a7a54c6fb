"""Counts operations exactly and prices them in joules for each target."""
