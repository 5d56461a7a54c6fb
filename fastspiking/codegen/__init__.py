"""Writes compiled loops for neurons that only their `step` defines, from what the step does with tensors."""
