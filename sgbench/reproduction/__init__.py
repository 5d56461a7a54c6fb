"""Runs published experiments again and judges our figures against theirs."""
