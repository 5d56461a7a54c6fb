"""Spikes as functions of torch's automatic differentiation: a surrogate says what goes forward and what back."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor


class Slopes(Protocol):
    """Holds what a surrogate says of its spikes and of their slopes."""

    def fire(self, u: Tensor) -> Tensor:
        """Return the spikes."""
        ...

    def pull_back(self, u: Tensor, grad: Tensor) -> Tensor:
        """Return the gradient of u from that of the spikes."""
        ...

    def push_forward(self, u: Tensor, tangent: Tensor) -> Tensor:
        """Return the tangent of the spikes from that of u."""
        ...


class Spike(torch.autograd.Function):
    """Fires as the surrogate does forward, and takes its `pull_back` backward."""

    generate_vmap_rule = True

    @staticmethod
    def forward(u: Tensor, surrogate: Slopes) -> Tensor:
        """Spikes."""
        return surrogate.fire(u)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Slopes], output: Tensor) -> None:
        """Keep u for the way back."""
        u, ctx.surrogate = inputs
        ctx.save_for_backward(u)
        ctx.save_for_forward(u)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Gradient of u from that of the spikes."""
        (u,) = ctx.saved_tensors
        return ctx.surrogate.pull_back(u, grad), None


class SpikeWithForwardMode(Spike):
    """Does the same, with the surrogate's `push_forward` in forward mode too."""

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
        """Tangent of the spikes from that of u."""
        (u,) = ctx.saved_tensors
        return ctx.surrogate.push_forward(u, tangent)
