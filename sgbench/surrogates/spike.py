"""Spikes as functions of torch's autograd; a surrogate computes the forward and the backward pass."""

from typing import Any, Protocol

import torch
from torch import Tensor


class Slopes(Protocol):
    """Defines the three passes of a spike: forward, backward, and forward mode; u is potential minus threshold."""

    def fire(self, u: Tensor) -> Tensor:
        """Compute what each neuron sends, of the shape of u."""
        ...

    def pull_back(self, u: Tensor, grad: Tensor) -> Tensor:
        """Convert the gradient by the sent values to the gradient by u."""
        ...

    def push_forward(self, u: Tensor, tangent: Tensor) -> Tensor:
        """Convert the tangent of u to the tangent of the sent values."""
        ...


class Spike(torch.autograd.Function):
    """Defines a spike for autograd: the surrogate's `fire` forward, its `pull_back` backward."""

    generate_vmap_rule = True

    @staticmethod
    def forward(u: Tensor, surrogate: Slopes) -> Tensor:
        return surrogate.fire(u)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Slopes], output: Tensor) -> None:
        u, ctx.surrogate = inputs
        ctx.save_for_backward(u)
        ctx.save_for_forward(u)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (u,) = ctx.saved_tensors
        return ctx.surrogate.pull_back(u, grad), None


class SpikeWithForwardMode(Spike):
    """Extends `Spike` by forward mode, the surrogate's `push_forward`."""

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
        (u,) = ctx.saved_tensors
        return ctx.surrogate.push_forward(u, tangent)
