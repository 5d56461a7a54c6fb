"""A steepness on half a cosine."""

from __future__ import annotations

import math

from sgbench.steepness.base import Schedule, share


class Cosine(Schedule):
    """Moves from 1 to `final`, slowly at both ends, 1 + (final - 1) (1 - cos(pi p)) / 2.

    >>> Cosine(final=5.0).factor(0.5)
    3.0
    """

    def factor(self, progress: float) -> float:
        """Move the stretch along half a cosine: 1 + (final - 1) (1 - cos(pi p)) / 2 at the share p of training."""
        return 1 + (self.final - 1) * (1 - math.cos(math.pi * share(progress))) / 2
