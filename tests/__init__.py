"""Tests, a folder for each room of the package; `make test` runs those that are cheap."""
