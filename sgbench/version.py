"""The version of the package, apart from `sgbench/__init__.py`, whose names lead to rooms above."""

__version__ = "0.2.0"
