"""The version of the engines' arithmetic, which stands in every record among those of the packages."""

from __future__ import annotations

ENGINE = "3"
"""Raised when sums are made in another order. 1 sorted events and went back in chunks of time; 2 goes by blocks of
samples, with Adam in one loop; 3 goes so for windows, feedback weights and layers that run apart too."""
