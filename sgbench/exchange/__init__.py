"""Converts networks to code of other libraries, to and from NIR files, and from snnTorch weights."""
