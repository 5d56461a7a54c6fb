"""Sparse spikes: the form of a layer's input when most of it is zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class SparseSpikes:
    """Holds the non-zero entries ("events") of input [T, B, N] in compressed sparse rows, without gradients.

    Row t * B + b is step t of sample b; the events of row r are at positions `index[indptr[r]:indptr[r + 1]]`
    along N, with the sizes `value[indptr[r]:indptr[r + 1]]`.

    >>> events = SparseSpikes.of(torch.tensor([[[0.0, 1.0, 0.0]], [[2.0, 0.0, 1.0]]]))
    >>> events.indptr.tolist(), events.index.tolist(), events.value.tolist()
    ([0, 1, 3], [1, 0, 2], [1.0, 2.0, 1.0])
    >>> events.dense().tolist()
    [[[0.0, 1.0, 0.0]], [[2.0, 0.0, 1.0]]]
    """

    indptr: Tensor  # int64 [T * B + 1]
    index: Tensor  # int32 [events], positions along N, ascending within a row
    value: Tensor | None  # sizes [events]; None if all are 1
    shape: tuple[int, int, int]  # (T, B, N)
    dtype: torch.dtype  # of the dense form

    @staticmethod
    def of(dense: Tensor) -> SparseSpikes:
        """Convert dense input [T, B, N], which must not require a gradient."""
        steps, batch, inputs = dense.shape
        flat = dense.reshape(-1)
        position = nonzero_positions(flat)
        row = position // max(1, inputs)
        index, value = position - row * inputs, flat[position]
        return SparseSpikes.from_rows(
            row, index, None if bool((value == 1).all()) else value, (steps, batch, inputs), dense.dtype
        )

    @staticmethod
    def from_rows(
        row: Tensor, index: Tensor, value: Tensor | None, shape: tuple[int, ...], dtype: torch.dtype
    ) -> SparseSpikes:
        """Make sparse spikes from the row t * B + b (ascending) and the position along N of each event.

        `row`: of each event [events]. `index`: position along N of each event, ascending within a row [events].
        `value`: size of each event [events]; None if all are 1. `shape`: (T, B, N). `dtype`: of the dense form.
        """
        counts = torch.bincount(row, minlength=shape[0] * shape[1])
        indptr = torch.zeros(len(counts) + 1, dtype=torch.int64, device=row.device)
        torch.cumsum(counts, 0, out=indptr[1:])
        steps, batch, inputs = shape
        return SparseSpikes(indptr, index.to(torch.int32), value, (steps, batch, inputs), dtype)

    @property
    def device(self) -> torch.device:
        return self.index.device

    @property
    def density(self) -> float:
        return len(self.index) / max(1, self.shape[0] * self.shape[1] * self.shape[2])

    def rows(self) -> Tensor:
        """Return the row t * B + b of each event, int64 [events]."""
        rows = torch.arange(len(self.indptr) - 1, device=self.device)
        return rows.repeat_interleave(self.indptr.diff(), output_size=len(self.index))

    def dense(self) -> Tensor:
        """Return the dense form [T, B, N], with zeros where there is no event."""
        steps, batch, inputs = self.shape
        out = torch.zeros(steps * batch * inputs, dtype=self.dtype, device=self.device)
        out[self.rows() * inputs + self.index] = 1 if self.value is None else self.value
        return out.view(self.shape)

    def window(self, first: int, last: int) -> SparseSpikes:
        """Return the events of the steps `first` to `last` - 1."""
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
        """Copy the events to another device; copies to CUDA do not block if the events are in pinned memory."""
        is_cuda = torch.device(device).type == "cuda"
        return self._map_tensors(lambda tensor: tensor.to(device, non_blocking=is_cuda))

    def pin_memory(self, *_: object) -> SparseSpikes:
        """Copy the events to pinned (page-locked) memory, from which a CUDA device can copy without blocking."""
        return self._map_tensors(Tensor.pin_memory)

    def _map_tensors(self, change: Callable[[Tensor], Tensor]) -> SparseSpikes:
        value = None if self.value is None else change(self.value)
        return replace(self, indptr=change(self.indptr), index=change(self.index), value=value)


Signal = Tensor | SparseSpikes
"""Input of a layer: dense values [T, B, ...] or sparse spikes [T, B, N]."""


def nonzero_positions(flat: Tensor) -> Tensor:
    """Return the ascending positions of non-zero entries of a flat tensor; on CPU by NumPy, which is faster."""
    if flat.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero((flat != 0).numpy()))
    return flat.nonzero().squeeze(1)


def dense(signal: Signal) -> Tensor:
    """Return dense or sparse input in its dense form [T, B, N]."""
    return signal.dense() if isinstance(signal, SparseSpikes) else signal


def windows(signal: Signal, steps: int) -> list[Signal]:
    """Split input [T, B, ...] along time into consecutive parts of at most `steps` steps."""
    if isinstance(signal, SparseSpikes):
        return [signal.window(first, first + steps) for first in range(0, signal.shape[0], steps)]
    return list(signal.split(steps))
