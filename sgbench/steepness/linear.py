"""A steepness on a straight line."""

from __future__ import annotations

from sgbench.steepness.base import Schedule, share


class Linear(Schedule):
    """Moves from 1 to `final` in equal steps, 1 + (final - 1) p.

    >>> Linear(final=5.0).factor(0.25)
    2.0
    """

    def factor(self, progress: float) -> float:
        """Move the stretch along a straight line: 1 + (final - 1) p at the share p of training."""
        return 1 + (self.final - 1) * share(progress)
