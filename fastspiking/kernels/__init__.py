"""Holds the loops of the fused engine, which numba compiles."""
