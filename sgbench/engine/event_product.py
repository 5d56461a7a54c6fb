"""Products with spikes: weights of what fired are added up, and what did not fire costs nothing."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from sgbench.engine import density
from sgbench.engine.numba_events import ProductSum, Rows, sum_rows, unpacked
from sgbench.engine.plan import Course, Plan
from sgbench.spikes import Events


class Origin(Protocol):
    """Where spikes come from."""

    steps: int
    batch: int

    def rows(self, first: int, last: int) -> Rows:
        """Of steps [first, last)."""
        ...


class Given:
    """Spikes from outside.

    Args:
        events: all of them.
    """

    def __init__(self, events: Events) -> None:
        self.steps, self.batch, _ = events.shape
        self.indptr = events.indptr.numpy()
        self.index = events.index.numpy()
        self.value = None if events.value is None else events.value.numpy()

    def rows(self, first: int, last: int) -> Rows:
        """Of steps [first, last)."""
        indptr = self.indptr[first * self.batch : last * self.batch + 1]
        return Rows(indptr, self.index, self.value)


class Fired:
    """Spikes of the layer before.

    Args:
        plan: of that layer.
        course: of that layer.
    """

    def __init__(self, plan: Plan, course: Course) -> None:
        self.steps, self.batch, _ = plan.shape
        self.words = course.words
        self.kept: dict[int, Rows] = {}

    def rows(self, first: int, last: int) -> Rows:
        """Of steps [first, last); unpacked once for both passes."""
        found = self.kept.pop(first, None)
        if found is None:
            found = unpacked(self.words[first:last])
            self.kept[first] = found
        return found


class EventProduct:
    """I = W s + b for spikes s, chunk by chunk, with its gradients.

    Args:
        weight: [M, K].
        bias: [M] or None.
        origin: of the spikes.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, origin: Origin) -> None:
        self.weight = weight.detach()
        self.columns = (
            self.weight.T.contiguous()
        )  # no copy where the weight lies by columns, as a layer's does
        self.learns_bias = bias is not None
        self.bias = self.columns.new_zeros(self.columns.shape[1]) if bias is None else bias.detach()
        self.begin = self.bias.numpy()
        self.origin = origin
        self.entries = origin.batch * self.columns.shape[0]  # of one step's input
        self.products = ProductSum(self.columns.shape[0])
        self.buffer: Tensor | None = None
        self.back: Tensor | None = None
        self.d_columns: Tensor | None = None
        self.d_bias: Tensor | None = None

    def chunk(self, first: int, last: int, room: Tensor) -> Tensor:
        """Current [n, B, M], in `room`."""
        rows = self.origin.rows(first, last)
        if self._dense(rows, last - first, density.FORWARD_DENSE):
            torch.addmm(self.bias, self._filled_in(rows), self.columns, out=room.view(-1, room.shape[-1]))
        else:
            sum_rows(rows, self.columns, self.begin, room)
        return room

    def slot(self, first: int, last: int, offered: Tensor | None) -> Tensor:
        """In `offered`, or in a buffer of its own."""
        if offered is not None:
            return offered
        self.buffer = self._room(self.buffer, last - first, self.columns.shape[1])
        return self.buffer[: last - first]

    def filled(self, first: int, last: int, out: Tensor) -> None:
        """Add to the gradients of weight and bias."""
        rows = self.origin.rows(first, last)
        if self.d_columns is None:
            self.d_columns = torch.zeros_like(self.columns)
        if self._dense(rows, last - first, density.WEIGHT_DENSE):
            self.d_columns.addmm_(self._filled_in(rows).T, out.view(-1, out.shape[-1]))
        else:
            self.products.add(rows, out, self.d_columns)
        if self.learns_bias:
            self.d_bias = out.sum((0, 1)) if self.d_bias is None else self.d_bias + out.sum((0, 1))

    def sent_back(self, first: int, last: int, out: Tensor) -> Tensor:
        """Adjoint of the spikes [n, B, K], in a buffer."""
        self.back = self._room(self.back, last - first, self.columns.shape[0])
        back = self.back[: last - first]
        torch.mm(out.view(-1, out.shape[-1]), self.weight, out=back.view(-1, back.shape[-1]))
        return back

    def gradients(self) -> tuple[Tensor | None, ...]:
        """Of weight and bias; given away, so that a second backward starts anew."""
        found = (None if self.d_columns is None else self.d_columns.T, self.d_bias)
        self.buffer = self.back = self.d_columns = self.d_bias = None
        return found

    def _room(self, buffer: Tensor | None, steps: int, width: int) -> Tensor:
        if buffer is None or len(buffer) < steps:
            return self.columns.new_empty(steps, self.origin.batch, width)
        return buffer

    def _dense(self, rows: Rows, steps: int, limit: float) -> bool:
        return rows.count > limit * steps * self.entries

    def _filled_in(self, rows: Rows) -> Tensor:
        """The spikes as a dense matrix [n * B, K]."""
        events = slice(rows.indptr[0], rows.indptr[-1])
        count, inputs = len(rows.indptr) - 1, self.columns.shape[0]
        place = np.repeat(np.arange(count), np.diff(rows.indptr)) * inputs + rows.index[events]
        matrix = self.columns.new_zeros(count, inputs)
        matrix.view(-1).numpy()[place] = 1 if rows.value is None else rows.value[events]
        return matrix
