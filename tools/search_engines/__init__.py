"""Search for runs on which the engines differ: `python -m tools.search_engines --help`."""
