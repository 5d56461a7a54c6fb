"""Computes and draws curves and facts of an entry, data set or run that `show`, `compare` or `diagnose` tell."""
