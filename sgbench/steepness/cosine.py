"""A stretch that follows half a cosine."""

import math

from sgbench.steepness.base import Schedule, share


class Cosine(Schedule):
    """Changes the stretch from 1 to `final` along half a cosine, slowly at both ends of training.

    >>> Cosine(final=5.0).factor(0.5)
    3.0
    """

    def factor(self, progress: float) -> float:
        """Return the stretch 1 + (final - 1) (1 - cos(pi p)) / 2 for progress p in [0, 1]."""
        return 1 + (self.final - 1) * (1 - math.cos(math.pi * share(progress))) / 2
