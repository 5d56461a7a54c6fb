"""The study of the attached reset: one answer for recurrent networks, and how high a surrogate may be."""
