"""The version of the engines' arithmetic, which stands in every record among those of the packages."""

ENGINE = "11"
"""Raised whenever results may differ in their last bits, as when sums are made in another order."""
