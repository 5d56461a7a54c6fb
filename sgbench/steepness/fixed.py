"""A steepness that does not change in training."""

from sgbench.steepness.base import Steepness


class Fixed(Steepness):
    """Leaves the steepness as the surrogate's own parameters set it.

    >>> Fixed().factor(0.5)
    1.0
    """

    def factor(self, progress: float) -> float:
        """Return a stretch of 1 at any progress."""
        return 1.0
