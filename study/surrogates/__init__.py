"""The study of surrogate gradients: which one, how wide, and when it matters."""
