"""Events of each step of each sample, and what each sample costs, for the interval around a mean."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sgbench.engine.arrays import FLOATS, rows_of
from sgbench.engine.kernels import counting
from sgbench.records.base import MAX_WHOLE
from sgbench.records.counts import Count, Spread
from sgbench.signals.spikes import Signal, SparseSpikes


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


Rows = NDArray[np.int64]
"""Whole numbers [T, B], of each step of each sample."""


class Came(NamedTuple):
    """Counts the events of a signal up to each sample's length."""

    rows: Rows  # of each step of each sample [T, B]
    of_samples: Rows  # [B]
    total: int
    steps: int  # of all samples, in which something came


def count_events(signal: Signal, lengths: Tensor) -> Came:
    """Count the entries other than 0 of a signal [T, B, N] within each sample.

    Args:
        signal: packed or dense; packed events are counted without being unpacked.
        lengths: of the samples [B].

    >>> signal = torch.tensor([[[0.0, 0.5], [1.0, 1.0]], [[-1.0, 2.0], [1.0, 0.0]]])
    >>> came = count_events(signal, torch.tensor([2, 1]))
    >>> came.rows.tolist(), came.of_samples.tolist(), came.total, came.steps
    ([[1, 2], [2, 0]], [3, 2], 5, 3)
    """
    steps, batch, width = signal.shape
    rows, of_samples = np.empty((steps, batch), np.int64), np.zeros(batch, np.int64)
    into = (lengths.cpu().numpy(), rows, of_samples)
    if not isinstance(signal, SparseSpikes) and signal.device.type == "cpu" and signal.dtype in FLOATS:
        entries = rows_of(signal.detach().contiguous(), width)
        total, filled = counting.count_rows(entries, *into)
    else:
        total, filled = counting.count_packed(_indptr(signal), *into)
    return Came(rows, of_samples, int(total), int(filled))


def _indptr(signal: Signal) -> NDArray[np.int64]:
    """Return where the events of each row begin and end; a signal on an accelerator is counted there."""
    if isinstance(signal, SparseSpikes):
        return signal.indptr.cpu().numpy()
    counts = torch.sum(signal.detach().bool(), 2, dtype=torch.int64).cpu().numpy()
    return np.append(0, counts.cumsum())


def within(lengths: Tensor, steps: int) -> NDArray[np.bool_] | None:
    """Compute a mask [T, B] of the steps within each sample; None where every sample lasts to the end."""
    ends = lengths.cpu().numpy()
    return None if len(ends) == 0 or ends.min() >= steps else np.arange(steps)[:, None] < ends


def one_step_later(rows: Rows, valid: NDArray[np.bool_] | None) -> Rows:
    """Return the events that arrive one step later; those of the last step arrive nowhere."""
    late = np.zeros_like(rows)
    late[1:] = rows[:-1]
    return late if valid is None else late * valid
