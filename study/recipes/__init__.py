"""The study of recipes: widths under a cosine schedule and sharpness-aware steps."""
