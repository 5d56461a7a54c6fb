"""Input currents from events, as a function with autograd's gradients of weight and bias."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastspiking.event_product import EventProduct, GivenEvents
from fastspiking.signals.spikes import SparseSpikes


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
        ctx.product.filled(0, len(grad), grad.contiguous())
        return None, *ctx.product.gradients()
