"""Events in each step of each sample, and counts of each sample, from which intervals of means are computed."""

from collections import Counter
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastspiking.arrays import FLOATS, rows_of
from fastspiking.kernels import counting
from fastspiking.signals.spikes import Signal, SparseSpikes
from sgbench.records.base import MAX_WHOLE
from sgbench.records.counts import Count, Spread


class PerSample:
    """Holds the synaptic operations and spikes of each sample of one batch, summed over all layers.

    `samples`: batch size B.

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
        """Add synaptic operations of each sample [B] to those held, and their sum to `total[name]`."""
        self.synaptic_operations += of_samples
        total[name] += int(of_samples.sum())

    def add_squares(self, squares: Counter[str]) -> None:
        for name in ("synaptic_operations", "spikes_sent"):
            numbers: NDArray[np.int64] = getattr(self, name)
            fits = len(numbers) == 0 or len(numbers) * int(numbers.max()) ** 2 <= MAX_WHOLE  # 64 bits
            squares[name] += int(numbers @ numbers) if fits else sum(n * n for n in numbers.tolist())


def spread(squares: Counter[str]) -> Spread:
    return Spread(
        synaptic_operations_squared=_count(squares["synaptic_operations"]),
        spikes_sent_squared=_count(squares["spikes_sent"]),
    )


def _count(total: int) -> Count:
    """Return a total as a record's count, or the reason why it is too large for one."""
    return Count(total=total) if total <= MAX_WHOLE else Count(reason="beyond 2^63, the largest stored")


Rows = NDArray[np.int64]
"""A whole number for each step and sample [T, B]."""


class Came(NamedTuple):
    """Holds numbers of events of a signal in the valid steps of samples."""

    rows: Rows  # in each step and sample [T, B]
    of_samples: Rows  # in each sample [B]
    total: int
    steps: int  # number of steps, of all samples, with an event


def count_events(signal: Signal, lengths: Tensor) -> Came:
    """Count the entries other than 0 of a signal [T, B, N] in the valid steps of each sample.

    `signal`: sparse or dense; `lengths`: valid steps of each sample [B].

    >>> signal = torch.tensor([[[0.0, 0.5], [1.0, 1.0]], [[-1.0, 2.0], [1.0, 0.0]]])
    >>> came = count_events(signal, torch.tensor([2, 1]))
    >>> came.rows.tolist(), came.of_samples.tolist(), came.total, came.steps
    ([[1, 2], [2, 0]], [3, 2], 5, 3)
    """
    steps, batch, width = signal.shape
    rows, of_samples = np.empty((steps, batch), np.int64), np.zeros(batch, np.int64)
    ends_and_results = (lengths.cpu().numpy(), rows, of_samples)  # the kernels fill the last two
    if not isinstance(signal, SparseSpikes) and signal.device.type == "cpu" and signal.dtype in FLOATS:
        entries = rows_of(signal.detach().contiguous(), width)
        total, steps_with_events = counting.count_rows(entries, *ends_and_results)
    else:
        total, steps_with_events = counting.count_packed(_indptr(signal), *ends_and_results)
    return Came(rows, of_samples, int(total), int(steps_with_events))


def _indptr(signal: Signal) -> NDArray[np.int64]:
    """Return the running number of events before each row (step and sample) of a signal [T * B + 1].

    A dense signal on an accelerator is counted there.
    """
    if isinstance(signal, SparseSpikes):
        return signal.indptr.cpu().numpy()
    counts = torch.sum(signal.detach().bool(), 2, dtype=torch.int64).cpu().numpy()
    return np.append(0, counts.cumsum())


def within(lengths: Tensor, steps: int) -> NDArray[np.bool_] | None:
    """Return a mask [T, B] of the steps within each sample (lengths: valid steps [B]); None if all are."""
    ends = lengths.cpu().numpy()
    return None if len(ends) == 0 or ends.min() >= steps else np.arange(steps)[:, None] < ends


def one_step_later(rows: Rows, valid: NDArray[np.bool_] | None) -> Rows:
    """Shift numbers [T, B] by one step and set steps outside `valid` to 0; those of the last step are lost."""
    shifted = np.zeros_like(rows)
    shifted[1:] = rows[:-1]
    return shifted if valid is None else shifted * valid
