"""Defines everything that is stored, and reads and writes it without losing a byte."""
