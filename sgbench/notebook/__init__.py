"""Gives Python what the command prints, as objects that print, draw and convert themselves."""
