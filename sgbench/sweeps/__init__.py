"""Lists the points of a sweep and summarises the records that came of them."""
