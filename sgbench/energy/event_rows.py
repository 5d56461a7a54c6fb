"""How many events each step of each sample holds: all that exact counts of dense layers need of the spikes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sgbench.engine.arrays import FLOATS, rows_of
from sgbench.engine.kernels import counting
from sgbench.spikes import Events, Signal

Rows = NDArray[np.int64]
"""Whole numbers [T, B], of each step of each sample."""

EXACT = (torch.float32, torch.float64)  # sums of ones are exact to 2^24 at least


def events_per_row(signal: Signal, *, ones: bool = False) -> Rows:
    """Entries other than 0 of each row of a signal [T, B, N], as whole numbers [T, B].

    Args:
        signal: packed or dense; packed events are counted without being unpacked.
        ones: whether every entry is known to be 0 or 1, so that a sum counts them.

    >>> events_per_row(torch.tensor([[[0.0, 0.5]], [[-1.0, 2.0]]])).tolist()
    [[1], [2]]
    """
    if isinstance(signal, Events):
        steps, batch, _ = signal.shape
        return np.diff(signal.indptr.cpu().numpy()).reshape(steps, batch)
    counted = signal.sum(2) if ones and signal.dtype in EXACT else _not_zero(signal)
    return counted.cpu().numpy().astype(np.int64)


def _not_zero(signal: Tensor) -> Tensor:
    counted = torch.empty(signal.shape[:2], dtype=torch.int32, device=signal.device)
    if signal.device.type == "cpu" and signal.dtype in FLOATS:
        counting.count_rows(rows_of(signal.detach().contiguous(), signal.shape[2]), counted.view(-1).numpy())
        return counted
    return torch.sum(signal.bool(), 2, dtype=torch.int32, out=counted)


def within(lengths: Tensor, steps: int) -> NDArray[np.bool_] | None:
    """Mask [T, B] of the steps within each sample; None where every sample lasts to the end."""
    ends = lengths.cpu().numpy()
    return None if len(ends) == 0 or ends.min() >= steps else np.arange(steps)[:, None] < ends


def one_step_later(rows: Rows, valid: NDArray[np.bool_] | None) -> Rows:
    """What arrives through synapses from step to step: the last step's events find no further step."""
    late = np.zeros_like(rows)
    late[1:] = rows[:-1]
    return late if valid is None else late * valid
