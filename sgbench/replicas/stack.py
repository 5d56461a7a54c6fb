"""The weights of many networks of equal shapes as rows of one matrix, moved by one optimiser."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sgbench.replicas.batched_optimizer import BatchedOptimizer

ALIGNED = 16  # entries at which a parameter may begin, so that its rows stay where vectors are loaded from


class Stack:
    """Moves the parameters of many networks together; what is computed of one does not touch another.

    The parameters stay those of their networks: their storage becomes a part of a row.

    Args:
        networks: of equal shapes.
        optimizer: the optimiser's rule, one row of numbers for each network.
    """

    def __init__(self, networks: Sequence[nn.Module], optimizer: BatchedOptimizer) -> None:
        self.parameters = [list(network.parameters()) for network in networks]
        self.optimizer = optimizer
        first = self.parameters[0]
        self.layout: list[tuple[int, tuple[int, ...], tuple[int, ...]]] = []
        width = 0
        for parameter in first:
            self.layout.append((width, tuple(parameter.shape), _strides(parameter)))
            width += -(-parameter.numel() // ALIGNED) * ALIGNED
        self.values = first[0].new_zeros(len(networks), width).detach()
        self.gradients = torch.zeros_like(self.values)
        self.absent: Tensor | None = (
            None  # entries that no gradient ever reaches, which an optimiser then leaves
        )
        optimizer.begin(self.values)
        self.slots = [self._views(self.gradients[row]) for row in range(len(networks))]
        for row, parameters in enumerate(self.parameters):
            for parameter, view in zip(parameters, self._views(self.values[row]), strict=True):
                view.copy_(parameter.detach())
                parameter.data = view

    def _views(self, row: Tensor) -> list[Tensor]:
        begin = row.storage_offset()
        return [
            torch.as_strided(row, shape, strides, begin + offset) for offset, shape, strides in self.layout
        ]

    def collect(self, row: int) -> None:
        """Move a network's gradients into its row of the stack, and clear them in the network."""
        for position, (parameter, slot) in enumerate(zip(self.parameters[row], self.slots[row], strict=True)):
            if parameter.grad is None:
                slot.zero_()
                self._mark_absent(row, position)
            else:
                slot.copy_(parameter.grad)
                parameter.grad = None

    def _mark_absent(self, row: int, position: int) -> None:
        if self.absent is None:
            self.absent = torch.zeros_like(self.values, dtype=torch.bool)
        self._views(self.absent[row])[position].fill_(True)

    @contextlib.contextmanager
    def lent(self, row: int) -> Iterator[None]:
        """Give a network its collected gradients for the duration of a block."""
        for parameter, slot in zip(self.parameters[row], self.slots[row], strict=True):
            parameter.grad = slot
        try:
            yield
        finally:
            for parameter in self.parameters[row]:
                parameter.grad = None

    def gradients_of(self, row: int) -> list[Tensor | None]:
        """Return one network's gradients in the order of its parameters; None for those without any."""
        absent = None if self.absent is None else self._views(self.absent[row])
        return [
            None if absent is not None and bool(absent[position].any()) else slot
            for position, slot in enumerate(self.slots[row])
        ]

    def norms(self) -> list[float]:
        """Compute the L2 norm of each row's gradient."""
        return self.gradients.norm(dim=1).tolist()

    def clip(self, norms: Sequence[float], limits: Sequence[float]) -> None:
        """Shorten each row to its limit, as `torch.nn.utils.clip_grad_norm_` does."""
        factors = [min(1.0, limit / (norm + 1e-6)) for norm, limit in zip(norms, limits, strict=True)]
        if any(factor < 1 for factor in factors):
            self.gradients.mul_(self.gradients.new_tensor(factors)[:, None])

    def step(self, rows: Sequence[int]) -> None:
        """Update these rows by their gradients."""
        still = sorted(set(range(len(self.values))) - set(rows))
        state = [self.values, *self.optimizer.state.values()]
        before = [tensor[still] for tensor in state] if still else []
        self.optimizer.step(self.values, self.gradients, self.absent, rows)
        for tensor, previous in zip(state, before, strict=False):
            tensor[still] = previous

    def finite(self) -> list[bool]:
        """Check whether all weights of each row are finite, by a cheap sum that may give false alarms."""
        return torch.isfinite(self.values.sum(1)).tolist()

    def snapshot(self) -> dict[str, Tensor]:
        """Copy the weights and the optimiser's state as they are now."""
        tensors = {"values": self.values, **self.optimizer.state}
        saved = {name: tensor.clone() for name, tensor in tensors.items()}
        return saved | {"steps": torch.tensor(self.optimizer.steps)}

    @staticmethod
    def row_of(snapshot: dict[str, Tensor], row: int) -> dict[str, Tensor]:
        """Copy one network's part of a snapshot."""
        return {name: tensor[row].clone() for name, tensor in snapshot.items()}

    def load_row(self, row: int, saved: dict[str, Any]) -> None:
        """Restore one network's weights and optimiser state from its part of a snapshot."""
        self.values[row] = saved["values"]
        self.optimizer.steps[row] = int(saved["steps"])
        for name, tensor in self.optimizer.state.items():
            tensor[row] = saved[name]


def _strides(parameter: Tensor) -> tuple[int, ...]:
    """Return a dense parameter's own strides, else those of rows one after another."""
    span = 1 + sum(
        (size - 1) * stride for size, stride in zip(parameter.shape, parameter.stride(), strict=True)
    )
    if span == parameter.numel():
        return tuple(parameter.stride())
    return tuple(math.prod(parameter.shape[axis + 1 :]) for axis in range(parameter.dim()))
