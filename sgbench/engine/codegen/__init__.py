"""Writes compiled loops for neurons that only their `step` tells, from what the step does with tensors."""
