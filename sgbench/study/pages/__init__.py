"""The pages of a study's report: each from its scores to Markdown and pictures, readable alone."""
