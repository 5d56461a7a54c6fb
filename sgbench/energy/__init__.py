"""Counts the operations of networks exactly, and estimates their energy on chips and other hardware (targets)."""
