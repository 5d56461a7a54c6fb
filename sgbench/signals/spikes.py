"""Packed spikes: what flows between encoder and layers where most of the input is zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class SparseSpikes:
    """Holds non-zero input [T, B, N] in compressed sparse rows; row t * B + b is step t of sample b.

    No gradient flows through it. The events of row r are `index[indptr[r]:indptr[r + 1]]`. Values other than 1 are
    kept in `value`, never made binary. Lengths of samples travel beside it, in `Batch.lengths`.

    >>> events = SparseSpikes.of(torch.tensor([[[0.0, 1.0, 0.0]], [[2.0, 0.0, 1.0]]]))
    >>> events.indptr.tolist(), events.index.tolist(), events.value.tolist()
    ([0, 1, 3], [1, 0, 2], [1.0, 2.0, 1.0])
    >>> events.dense().tolist()
    [[[0.0, 1.0, 0.0]], [[2.0, 0.0, 1.0]]]
    """

    indptr: Tensor  # int64 [T * B + 1]
    index: Tensor  # int32 [events], positions along N, ascending within a row
    value: Tensor | None  # [events], or None where every event is 1
    shape: tuple[int, int, int]  # (T, B, N)
    dtype: torch.dtype  # of the dense form

    @staticmethod
    def of(dense: Tensor) -> SparseSpikes:
        """Take the non-zero entries of dense input [T, B, N] that carries no gradient."""
        steps, batch, inputs = dense.shape
        flat = dense.reshape(-1)
        position = _nonzero(flat)
        row = position // max(1, inputs)
        index, value = position - row * inputs, flat[position]
        return SparseSpikes.from_rows(
            row, index, None if bool((value == 1).all()) else value, (steps, batch, inputs), dense.dtype
        )

    @staticmethod
    def from_rows(
        row: Tensor, index: Tensor, value: Tensor | None, shape: tuple[int, ...], dtype: torch.dtype
    ) -> SparseSpikes:
        """Make events of rows t * B + b in ascending order and positions along N, one of each event."""
        counts = torch.bincount(row, minlength=shape[0] * shape[1])
        indptr = torch.zeros(len(counts) + 1, dtype=torch.int64, device=row.device)
        torch.cumsum(counts, 0, out=indptr[1:])
        steps, batch, inputs = shape
        return SparseSpikes(indptr, index.to(torch.int32), value, (steps, batch, inputs), dtype)

    @property
    def device(self) -> torch.device:
        """Return the device of the events."""
        return self.index.device

    @property
    def density(self) -> float:
        """Return the number of events divided by the number of entries of the dense form."""
        return len(self.index) / max(1, self.shape[0] * self.shape[1] * self.shape[2])

    def rows(self) -> Tensor:
        """Return the row t * B + b of each event, int64 [events]."""
        rows = torch.arange(len(self.indptr) - 1, device=self.device)
        return rows.repeat_interleave(self.indptr.diff(), output_size=len(self.index))

    def dense(self) -> Tensor:
        """Return the events as dense input [T, B, N]."""
        steps, batch, inputs = self.shape
        out = torch.zeros(steps * batch * inputs, dtype=self.dtype, device=self.device)
        out[self.rows() * inputs + self.index] = 1 if self.value is None else self.value
        return out.view(self.shape)

    def window(self, first: int, last: int) -> SparseSpikes:
        """Cut out the steps from `first` up to `last`, which is left out."""
        steps, batch, inputs = self.shape
        last = min(last, steps)
        indptr = self.indptr[first * batch : last * batch + 1]
        start, end = int(indptr[0]), int(indptr[-1])
        return replace(
            self,
            indptr=indptr - start,
            index=self.index[start:end],
            value=None if self.value is None else self.value[start:end],
            shape=(last - first, batch, inputs),
        )

    def to(self, device: torch.device | str, **_: object) -> SparseSpikes:
        """Copy the events to another device, a card from pinned memory without waiting for it."""
        at_once = torch.device(device).type == "cuda"
        return self._moved(lambda part: part.to(device, non_blocking=at_once))

    def pin_memory(self, *_: object) -> SparseSpikes:
        """Copy the events to memory that a card can fetch them from by itself."""
        return self._moved(Tensor.pin_memory)

    def _moved(self, move: Callable[[Tensor], Tensor]) -> SparseSpikes:
        value = None if self.value is None else move(self.value)
        return replace(self, indptr=move(self.indptr), index=move(self.index), value=value)


Signal = Tensor | SparseSpikes
"""What a layer receives: dense values or packed spikes [T, B, ...]."""


def _nonzero(flat: Tensor) -> Tensor:
    """Find the positions that are not 0, ascending; NumPy searches a mask in a third of torch's time."""
    if flat.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero((flat != 0).numpy()))
    return flat.nonzero().squeeze(1)


def dense(signal: Signal) -> Tensor:
    """Return input of either kind, packed or dense, in its dense form [T, B, N]."""
    return signal.dense() if isinstance(signal, SparseSpikes) else signal


def windows(signal: Signal, steps: int) -> list[Signal]:
    """Split input into consecutive parts of at most `steps` steps."""
    if isinstance(signal, SparseSpikes):
        return [signal.window(first, first + steps) for first in range(0, signal.shape[0], steps)]
    return list(signal.split(steps))
