"""Products of weights with spikes, by adding up the weights of active inputs; silent inputs cost nothing."""

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastspiking import matmul
from fastspiking.matmul import add_product, multiply, multiply_into
from fastspiking.numba_events import ProductSum, Rows, sum_rows, unpack_spikes
from fastspiking.plan import Drive, LayerPlan, SavedActivations
from fastspiking.signals.spikes import SparseSpikes


class Origin(Protocol):
    """Defines a source of spikes for a product: T steps of B samples."""

    steps: int
    batch: int

    def rows(self) -> Rows:
        """Return the events of all rows t * batch + b."""
        ...


class GivenEvents:
    """Provides spikes that a caller passes in, [T, B, K]."""

    def __init__(self, events: SparseSpikes) -> None:
        self.steps, self.batch, _ = events.shape
        self.take(events)

    def take(self, events: SparseSpikes) -> None:
        """Replace the spikes by others of the same shape."""
        self.all = Rows.of(events)

    def rows(self) -> Rows:
        return self.all


class Fired:
    """Provides the spikes of the previous layer, which must have run before `rows` is called."""

    def __init__(self, plan: LayerPlan, saved: SavedActivations) -> None:
        self.steps, self.batch, _ = plan.shape
        self.words = saved.words
        self.all: Rows | None = None

    def rows(self) -> Rows:
        """Return the spikes as rows of indices, unpacked from their bits once."""
        if self.all is None:
            self.all = unpack_spikes(self.words)
        return self.all

    def forget(self) -> None:
        """Drop the unpacked events, since the previous layer is about to run again."""
        self.all = None


class EventProduct:
    """Computes the current I = W s + b of all steps for spikes s, and its gradients; see `plan.Product`.

    `weight`: W [M, K]. `bias`: b [M] or None. `origin`: source of the spikes s. `joined`: whether the layer's loop sums
    the current step by step, instead of all steps beforehand. `back`: weights [M, K] that carry gradient back to the
    spikes; None means W.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, origin: Origin, *, joined: bool, back: Tensor | None = None
    ) -> None:
        self.joined = joined
        self.weight = weight.detach()
        self.back = self.weight if back is None else back.detach()
        self.columns = self.weight.T.contiguous()  # no copy if weights are stored by columns, as a layer's are
        self.learns_bias = bias is not None
        self.bias = self.columns.new_zeros(self.columns.shape[1]) if bias is None else bias.detach()
        self.origin = origin
        self.entries = origin.steps * origin.batch * self.columns.shape[0]
        self.products = ProductSum(self.columns.shape[0])
        self.buffer: Tensor | None = None
        self.d_columns: Tensor | None = None
        self.d_bias: Tensor | None = None

    def drive(self, room: Tensor) -> Drive:
        """Return the events and weights if the loop follows events itself; else write the current to `room`."""
        rows = self.origin.rows()
        if self._dense(matmul.FORWARD_DENSE):
            multiply_into(room.view(-1, room.shape[-1]), self._filled_in(rows), self.columns, self.bias)
        elif self.joined:
            return Drive(None, rows, self.columns, self.bias)
        else:
            sum_rows(rows, self.columns, self.bias.numpy(), room)
        return Drive(room)

    def adjoint_memory(self, first: int, last: int, offered: Tensor | None) -> Tensor:
        """Return memory for the gradient of steps [first, last): the one offered, or a buffer that is used again."""
        if offered is not None:
            return offered
        if self.buffer is None or len(self.buffer) < last - first:
            self.buffer = self.columns.new_empty(last - first, self.origin.batch, self.columns.shape[1])
        return self.buffer[: last - first]

    def add_gradients(self, first: int, last: int, out: Tensor) -> None:
        """Add steps [first, last) to the gradients of weight and bias; see `plan.Product`."""
        rows = self.origin.rows().window(first * self.origin.batch, last * self.origin.batch)
        if self.d_columns is None:
            self.d_columns = torch.zeros_like(self.columns)
        if self._dense(matmul.WEIGHT_DENSE):
            add_product(self.d_columns, self._filled_in(rows).T, out.view(-1, out.shape[-1]))
        else:
            self.products.add(rows, out, self.d_columns)
        if self.learns_bias:
            self.d_bias = out.sum((0, 1)) if self.d_bias is None else self.d_bias + out.sum((0, 1))

    def input_adjoint(self, first: int, last: int, out: Tensor) -> Tensor:
        return multiply(out.view(-1, out.shape[-1]), self.back).view(last - first, self.origin.batch, -1)

    def gradients(self) -> tuple[Tensor | None, ...]:
        """Return the gradients of weight and bias, and forget them, so that a second backward pass starts anew."""
        gradients = (None if self.d_columns is None else self.d_columns.T, self.d_bias)
        self.buffer = self.d_columns = self.d_bias = None
        return gradients

    def _dense(self, limit: float) -> bool:
        return self.origin.rows().count > limit * self.entries

    def _filled_in(self, rows: Rows) -> Tensor:
        """Return the events of some rows as a dense matrix [rows, K]."""
        events = slice(rows.indptr[0], rows.indptr[-1])
        count, inputs = len(rows.indptr) - 1, self.columns.shape[0]
        place = np.repeat(np.arange(count), np.diff(rows.indptr)) * inputs + rows.index[events]
        matrix = self.columns.new_zeros(count, inputs)
        matrix.view(-1).numpy()[place] = 1 if rows.value is None else rows.value[events]
        return matrix


def event_current(events: SparseSpikes, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute the current W s + b [T, B, M] of all steps by adding up the weights of the inputs that spike.

    `events`: s [T, B, K]; `weight`: W [M, K]; `bias`: b [M] or None.
    """
    return _EventCurrent.apply(events, weight, bias)  # type: ignore[no-any-return]


class _EventCurrent(torch.autograd.Function):
    """Maps weight and bias to the current of all steps from events, with gradients."""

    @staticmethod
    def forward(ctx: Any, events: SparseSpikes, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.product = EventProduct(weight, bias, GivenEvents(events), joined=False)
        room = weight.new_empty(*events.shape[:2], weight.shape[0])
        current = ctx.product.drive(room).current
        ctx.save_for_backward(weight)  # torch then notices weights that were changed before the backward pass
        return current  # type: ignore[no-any-return]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor | None, Tensor | None]:
        _ = ctx.saved_tensors
        ctx.product.add_gradients(0, len(grad), grad.contiguous())
        return None, *ctx.product.gradients()
