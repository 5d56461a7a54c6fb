"""Repeats what a submission claims: scores its predictions, runs its weights, or trains again."""
