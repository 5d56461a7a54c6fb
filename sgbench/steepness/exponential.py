"""A stretch that changes by the same factor in each epoch."""

from sgbench.steepness.base import Schedule, share


class Exponential(Schedule):
    """Changes the stretch from 1 to `final` by the same factor in each epoch.

    Source: the evolving surrogate of Guo et al. 2022, NeurIPS (IM-Loss) grows its steepness this way.

    >>> Exponential(final=16.0).factor(0.5)
    4.0
    """

    def factor(self, progress: float) -> float:
        """Return the stretch final^p for progress p in [0, 1]."""
        return float(self.final ** share(progress))
