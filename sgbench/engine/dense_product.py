"""Products with dense input."""

from __future__ import annotations

import torch
from torch import Tensor

from sgbench.engine.matmul import add_product, multiply, multiply_into
from sgbench.engine.plan import Drive

WHOLE_ABOVE = 2**20
"""Weights above which their gradient is one product over all steps: adding to them chunk by chunk is slower."""


class DenseProduct:
    """Computes I = W x + b for dense input x, and its gradients.

    Args:
        weight: [M, K].
        bias: [M] or None.
        x: input [T, B, K].
        back: [M, K] by which gradient goes back to the input; None is W.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, x: Tensor, *, back: Tensor | None = None) -> None:
        self.weight = weight.detach()
        self.back = self.weight if back is None else back.detach()
        self.columns = self.weight.T
        self.bias = None if bias is None else bias.detach()
        self.x = x.detach().flatten(0, 1)
        self.batch = x.shape[1]
        self.sends_back = x.requires_grad
        self.whole = weight.numel() > WHOLE_ABOVE
        self.room: Tensor | None = None  # for the adjoint of a chunk, or of all steps
        self.d_x: Tensor | None = None
        self.d_columns: Tensor | None = None
        self.d_bias: Tensor | None = None

    def drive(self, room: Tensor) -> Drive:
        """Compute the current in `room` by one product for all steps."""
        multiply_into(room.view(-1, room.shape[-1]), self.x, self.columns, self.bias)
        return Drive(room)

    def slot(self, first: int, last: int, offered: Tensor | None) -> Tensor:
        """Create a separate buffer for the adjoint of these steps."""
        steps = len(self.x) // self.batch if self.whole else last - first
        if self.room is None or len(self.room) < steps:
            self.room = self.x.new_empty(steps, self.batch, len(self.weight))
        return self.room[first:last] if self.whole else self.room[:steps]

    def filled(self, first: int, last: int, out: Tensor) -> None:
        """Add these steps to the gradients of input, weight and bias."""
        rows = slice(first * self.batch, last * self.batch)
        flat = out.view(-1, out.shape[-1])
        if not self.whole:
            if self.d_columns is None:
                self.d_columns = self.x.new_zeros(self.columns.shape)
            add_product(self.d_columns, self.x[rows].T, flat)
        if self.bias is not None:
            total = flat.sum(0)
            self.d_bias = total if self.d_bias is None else self.d_bias + total
        if self.sends_back:
            if self.d_x is None:
                self.d_x = torch.empty_like(self.x)
            multiply_into(self.d_x[rows], flat, self.back)

    def sent_back(self, first: int, last: int, out: Tensor) -> Tensor:
        """Raise an error: dense input is outside of the chain, so no adjoint is sent back to it."""
        raise TypeError("dense input comes from outside of the chain")

    def gradients(self) -> tuple[Tensor | None, ...]:
        """Return the gradients of input, weight and bias; they are given away, so a second backward starts anew."""
        if self.whole and self.room is not None:
            self.d_columns = multiply(self.x.T, self.room.flatten(0, 1))
        d_x = None if self.d_x is None else self.d_x.view(-1, self.batch, self.x.shape[1])
        gradients = (d_x, None if self.d_columns is None else self.d_columns.T, self.d_bias)
        self.room = self.d_x = self.d_columns = self.d_bias = None
        return gradients
