"""Makes the saved report of a sweep at Weights & Biases, once."""
