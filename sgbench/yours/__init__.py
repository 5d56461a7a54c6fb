"""Takes a user's own data and networks through the ordinary course."""
