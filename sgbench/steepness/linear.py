"""A stretch that changes linearly."""

from sgbench.steepness.base import Schedule, share


class Linear(Schedule):
    """Changes the stretch from 1 to `final` in equal steps.

    >>> Linear(final=5.0).factor(0.25)
    2.0
    """

    def factor(self, progress: float) -> float:
        """Return the stretch 1 + (final - 1) p for progress p in [0, 1]."""
        return 1 + (self.final - 1) * share(progress)
