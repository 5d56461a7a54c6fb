"""Recommends a surrogate, its width and what goes with it from what a study measured on similar networks."""
