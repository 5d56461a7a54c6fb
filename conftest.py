"""Loads the fixtures and hooks that all tests share, also those in docstrings of the packages."""

pytest_plugins = ["tests.shared_fixtures"]
