"""No change."""

from __future__ import annotations

from sgbench.steepness.base import Steepness


class Fixed(Steepness):
    """The steepness stays what the surrogate's own parameters say.

    >>> Fixed().factor(0.5)
    1.0
    """

    def factor(self, progress: float) -> float:
        """1."""
        return 1.0
