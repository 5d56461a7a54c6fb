"""Treats a user's own data and networks as shipped ones are treated."""
