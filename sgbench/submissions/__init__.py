"""Makes and checks folders of results that people hand in."""
