"""Draws the pictures that the report of any study of surrogates can have, from plain numbers."""
