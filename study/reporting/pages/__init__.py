"""Writes the pages that any study of surrogates can have, each from its scores to text and pictures."""
