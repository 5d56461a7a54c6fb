"""Products with spikes: weights of what fired are added up, and what did not fire costs nothing."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from sgbench.engine import density
from sgbench.engine.matmul import add_product, multiply, multiply_into
from sgbench.engine.numba_events import ProductSum, Rows, sum_rows, unpacked
from sgbench.engine.plan import Drive, LayerPlan, SavedActivations
from sgbench.signals.spikes import SparseSpikes


class Origin(Protocol):
    """Defines where the spikes of a product come from."""

    steps: int
    batch: int

    def rows(self) -> Rows:
        """Return the rows of all steps, t * batch + b."""
        ...


class GivenEvents:
    """Provides spikes that the caller gives."""

    def __init__(self, events: SparseSpikes) -> None:
        self.steps, self.batch, _ = events.shape
        self.take(events)

    def take(self, events: SparseSpikes) -> None:
        """Hold these spikes from now on, of the same shape."""
        value = None if events.value is None else events.value.numpy()
        self.all = Rows(events.indptr.numpy(), events.index.numpy(), value)

    def rows(self) -> Rows:
        """Return the rows of events of all steps."""
        return self.all


class Fired:
    """Provides the spikes of the layer before, which has run when they are asked for."""

    def __init__(self, plan: LayerPlan, saved: SavedActivations) -> None:
        self.steps, self.batch, _ = plan.shape
        self.words = saved.words
        self.all: Rows | None = None

    def rows(self) -> Rows:
        """Return the rows of all steps, unpacked once and cached for both passes."""
        if self.all is None:
            self.all = unpacked(self.words)
        return self.all

    def forget(self) -> None:
        """Drop what was unpacked: the layer before is about to run again."""
        self.all = None


class EventProduct:
    """Computes I = W s + b for spikes s, and its gradients.

    Args:
        weight: [M, K].
        bias: [M] or None.
        origin: of the spikes.
        joined: whether the layer sums up its current by itself, row by row as it needs it.
        back: [M, K] by which gradient goes back to the spikes; None is W.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        origin: Origin,
        *,
        joined: bool,
        back: Tensor | None = None,
    ) -> None:
        self.joined = joined
        self.weight = weight.detach()
        self.back = self.weight if back is None else back.detach()
        self.columns = (
            self.weight.T.contiguous()
        )  # no copy where the weight lies by columns, as a layer's does
        self.learns_bias = bias is not None
        self.bias = self.columns.new_zeros(self.columns.shape[1]) if bias is None else bias.detach()
        self.origin = origin
        self.entries = origin.steps * origin.batch * self.columns.shape[0]
        self.products = ProductSum(self.columns.shape[0])
        self.buffer: Tensor | None = None
        self.d_columns: Tensor | None = None
        self.d_bias: Tensor | None = None

    def drive(self, room: Tensor) -> Drive:
        """Return events and weights for the loops to sum, or the current written into `room`."""
        rows = self.origin.rows()
        if self._dense(density.FORWARD_DENSE):
            multiply_into(room.view(-1, room.shape[-1]), self._filled_in(rows), self.columns, self.bias)
        elif self.joined:
            return Drive(None, rows, self.columns, self.bias)
        else:
            sum_rows(rows, self.columns, self.bias.numpy(), room)
        return Drive(room)

    def slot(self, first: int, last: int, offered: Tensor | None) -> Tensor:
        """Return a slot in `offered`, or in a buffer of its own."""
        if offered is not None:
            return offered
        if self.buffer is None or len(self.buffer) < last - first:
            self.buffer = self.columns.new_empty(last - first, self.origin.batch, self.columns.shape[1])
        return self.buffer[: last - first]

    def filled(self, first: int, last: int, out: Tensor) -> None:
        """Add these steps to the gradients of weight and bias."""
        rows = self.origin.rows().window(first * self.origin.batch, last * self.origin.batch)
        if self.d_columns is None:
            self.d_columns = torch.zeros_like(self.columns)
        if self._dense(density.WEIGHT_DENSE):
            add_product(self.d_columns, self._filled_in(rows).T, out.view(-1, out.shape[-1]))
        else:
            self.products.add(rows, out, self.d_columns)
        if self.learns_bias:
            self.d_bias = out.sum((0, 1)) if self.d_bias is None else self.d_bias + out.sum((0, 1))

    def sent_back(self, first: int, last: int, out: Tensor) -> Tensor:
        """Compute the adjoint of the input spikes [n, B, K]."""
        return multiply(out.view(-1, out.shape[-1]), self.back).view(last - first, self.origin.batch, -1)

    def gradients(self) -> tuple[Tensor | None, ...]:
        """Return the gradients of weight and bias; they are given away, so a second backward starts anew."""
        gradients = (None if self.d_columns is None else self.d_columns.T, self.d_bias)
        self.buffer = self.d_columns = self.d_bias = None
        return gradients

    def _dense(self, limit: float) -> bool:
        """Return whether there are more events than a share of all entries."""
        return self.origin.rows().count > limit * self.entries

    def _filled_in(self, rows: Rows) -> Tensor:
        """Write the spikes as a dense matrix [n * B, K]."""
        events = slice(rows.indptr[0], rows.indptr[-1])
        count, inputs = len(rows.indptr) - 1, self.columns.shape[0]
        place = np.repeat(np.arange(count), np.diff(rows.indptr)) * inputs + rows.index[events]
        matrix = self.columns.new_zeros(count, inputs)
        matrix.view(-1).numpy()[place] = 1 if rows.value is None else rows.value[events]
        return matrix
