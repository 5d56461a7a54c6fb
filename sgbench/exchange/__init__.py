"""Converts networks to and from NIR files and from snnTorch weights."""
