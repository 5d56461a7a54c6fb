"""Decides the hypotheses of the study of surrogates and writes the pages of its report."""
