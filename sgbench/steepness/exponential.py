"""A steepness that grows by the same factor each epoch."""

from __future__ import annotations

from sgbench.steepness.base import Schedule, share


class Exponential(Schedule):
    """Moves from 1 to `final` by equal factors, final^p.

    Source: the evolving surrogate of Guo et al. 2022, NeurIPS (IM-Loss) grows its steepness this way.

    >>> Exponential(final=16.0).factor(0.5)
    4.0
    """

    def factor(self, progress: float) -> float:
        """Compute the stretch that grows by equal factors: final^p at the share p of training."""
        return float(self.final ** share(progress))
