"""What each sample costs, for the interval around a mean."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from sgbench.records.base import MAX_WHOLE
from sgbench.records.counts import Count, Spread


class PerSample:
    """Holds synaptic operations and spikes of each sample of one batch [B], over all layers.

    >>> per_sample, squares = PerSample(2), Counter()
    >>> per_sample.synaptic_operations += np.array([3, 4])
    >>> per_sample.add_squares(squares)
    >>> spread(squares).synaptic_operations_squared.total
    25
    """

    def __init__(self, samples: int) -> None:
        self.synaptic_operations: NDArray[np.int64] = np.zeros(samples, np.int64)
        self.spikes_sent: NDArray[np.int64] = np.zeros(samples, np.int64)

    def add(self, total: Counter[str], name: str, of_samples: NDArray[np.int64]) -> None:
        """Add synaptic operations of each sample [B] here and to a total."""
        self.synaptic_operations += of_samples
        total[name] += int(of_samples.sum())

    def add_squares(self, squares: Counter[str]) -> None:
        """Add the squares of all samples as exact integers, so that neither order nor batches matter."""
        for name in ("synaptic_operations", "spikes_sent"):
            numbers: NDArray[np.int64] = getattr(self, name)
            # Python's own whole numbers where 64 bits could overflow.
            small = len(numbers) == 0 or len(numbers) * int(numbers.max()) ** 2 <= MAX_WHOLE
            squares[name] += int(numbers @ numbers) if small else sum(n * n for n in numbers.tolist())


def spread(squares: Counter[str]) -> Spread:
    """Convert the sums of squares to the form in which a record keeps them."""
    return Spread(
        synaptic_operations_squared=_count(squares["synaptic_operations"]),
        spikes_sent_squared=_count(squares["spikes_sent"]),
    )


def _count(total: int) -> Count:
    """Return a total, or the reason why it is too large to be stored."""
    return Count(total=total) if total <= MAX_WHOLE else Count(reason="beyond 2^63, the largest stored")
