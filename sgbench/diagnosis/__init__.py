"""Measures why a network does or does not learn: its gradient's flow, its activity, its gradient's worth."""
