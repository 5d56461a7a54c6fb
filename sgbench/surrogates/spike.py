"""Spikes as functions of torch's automatic differentiation: a surrogate says what goes forward and what back."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor


class Slopes(Protocol):
    """What a surrogate says of its spikes and of their slopes."""

    def fire(self, u: Tensor) -> Tensor:
        """Decide from the potential above threshold u what each neuron sends."""
        ...

    def pull_back(self, u: Tensor, grad: Tensor) -> Tensor:
        """Turn the gradient by what is sent into the gradient by u."""
        ...

    def push_forward(self, u: Tensor, tangent: Tensor) -> Tensor:
        """Turn the tangent of u into the tangent of what is sent."""
        ...


class Spike(torch.autograd.Function):
    """What the surrogate fires forward, its `pull_back` backward."""

    generate_vmap_rule = True

    @staticmethod
    def forward(u: Tensor, surrogate: Slopes) -> Tensor:
        """Send the surrogate's spikes at u."""
        return surrogate.fire(u)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Slopes], output: Tensor) -> None:
        """Keep u, at which the backward pass and forward mode ask for the slope."""
        u, ctx.surrogate = inputs
        ctx.save_for_backward(u)
        ctx.save_for_forward(u)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Turn the gradient by the spikes into the gradient by u, as the surrogate says."""
        (u,) = ctx.saved_tensors
        return ctx.surrogate.pull_back(u, grad), None


class SpikeWithForwardMode(Spike):
    """The same, with the surrogate's `push_forward` in forward mode too."""

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
        """Turn the tangent of u into the tangent of the spikes, as the surrogate says."""
        (u,) = ctx.saved_tensors
        return ctx.surrogate.push_forward(u, tangent)
