"""Search for runs on which the engines differ: `python -m tests.search_engines --help`."""
