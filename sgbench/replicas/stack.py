"""The weights of many networks of equal shapes as rows of one matrix, which one batched optimiser updates."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sgbench.replicas.batched_optimizer import BatchedOptimizer

ALIGNED = 16  # a parameter begins at a multiple of this many entries, so that vectors are loaded aligned


class Stack:
    """Holds the parameters of many networks as rows of a matrix, and updates them together.

    The parameters remain those of their networks; their storage becomes a part of a row. Rows do not affect each
    other.
    """

    def __init__(self, networks: Sequence[nn.Module], optimizer: BatchedOptimizer) -> None:
        self.parameters = [list(network.parameters()) for network in networks]
        self.optimizer = optimizer
        first = self.parameters[0]
        self.layout: list[tuple[int, tuple[int, ...], tuple[int, ...]]] = []  # offset, shape and strides
        width = 0
        for parameter in first:
            self.layout.append((width, tuple(parameter.shape), _strides(parameter)))
            width += -(-parameter.numel() // ALIGNED) * ALIGNED
        self.values = first[0].new_zeros(len(networks), width).detach()
        self.gradients = torch.zeros_like(self.values)
        self.absent: Tensor | None = None  # which entries have no gradient, so that they do not decay
        optimizer.begin(self.values)
        self.slots = [self._views(self.gradients[row]) for row in range(len(networks))]
        for row, parameters in enumerate(self.parameters):
            for parameter, view in zip(parameters, self._views(self.values[row]), strict=True):
                view.copy_(parameter.detach())
                parameter.data = view

    def _views(self, row: Tensor) -> list[Tensor]:
        """Return a view of each parameter, in its own shape, into a row of a matrix like `values`."""
        begin = row.storage_offset()
        return [torch.as_strided(row, shape, strides, begin + offset) for offset, shape, strides in self.layout]

    def collect(self, row: int) -> None:
        """Move the gradients of the network of a row into the stack, and clear them in the network."""
        for position, (parameter, slot) in enumerate(zip(self.parameters[row], self.slots[row], strict=True)):
            if parameter.grad is None:  # which is not 0: an optimiser leaves such a weight as it is, without decay
                slot.zero_()
                if self.absent is None:
                    self.absent = torch.zeros_like(self.values, dtype=torch.bool)
                self._views(self.absent[row])[position].fill_(True)
            else:
                slot.copy_(parameter.grad)
                parameter.grad = None

    @contextlib.contextmanager
    def gradients_in_network(self, row: int) -> Iterator[None]:
        """Set the gradients of the network of a row to those in the stack, during the body."""
        for parameter, slot in zip(self.parameters[row], self.slots[row], strict=True):
            parameter.grad = slot
        try:
            yield
        finally:
            for parameter in self.parameters[row]:
                parameter.grad = None

    def gradients_of(self, row: int) -> list[Tensor | None]:
        """Return the gradients of the network of a row, in the order of its parameters; None for absent ones."""
        absent = None if self.absent is None else self._views(self.absent[row])
        return [
            None if absent is not None and bool(absent[position].any()) else slot
            for position, slot in enumerate(self.slots[row])
        ]

    def clip(self, norms: Sequence[float], limits: Sequence[float]) -> None:
        """Scale each row's gradients so that their norm is at most its limit, as `torch.nn.utils.clip_grad_norm_`."""
        factors = [min(1.0, limit / (norm + 1e-6)) for norm, limit in zip(norms, limits, strict=True)]
        if any(factor < 1 for factor in factors):
            self.gradients.mul_(self.gradients.new_tensor(factors)[:, None])

    def step(self, rows: Sequence[int]) -> None:
        """Make the optimiser step of these rows; all others keep their values and state."""
        others = sorted(set(range(len(self.values))) - set(rows))
        state = [self.values, *self.optimizer.state.values()]
        before = [tensor[others] for tensor in state] if others else []
        self.optimizer.step(self.values, self.gradients, self.absent, rows)
        for tensor, previous in zip(state, before, strict=False):
            tensor[others] = previous

    def are_finite(self) -> list[bool]:
        """Return whether all weights of each row are finite, by a sum whose overflow is a false alarm."""
        return torch.isfinite(self.values.sum(1)).tolist()

    def snapshot(self) -> dict[str, Tensor]:
        """Copy all weights and the optimiser's state and number of steps, each with a row for each network."""
        tensors = {"values": self.values, **self.optimizer.state}
        saved = {name: tensor.clone() for name, tensor in tensors.items()}
        return saved | {"steps": torch.tensor(self.optimizer.steps)}

    @staticmethod
    def row_of(snapshot: dict[str, Tensor], row: int) -> dict[str, Tensor]:
        return {name: tensor[row].clone() for name, tensor in snapshot.items()}

    def load_row(self, row: int, saved: dict[str, Any]) -> None:
        self.values[row] = saved["values"]
        self.optimizer.steps[row] = int(saved["steps"])
        for name, tensor in self.optimizer.state.items():
            tensor[row] = saved[name]


def _strides(parameter: Tensor) -> tuple[int, ...]:
    """Return a parameter's strides if it has no gaps in memory, else those of a contiguous one."""
    span = 1 + sum((size - 1) * stride for size, stride in zip(parameter.shape, parameter.stride(), strict=True))
    if span == parameter.numel():
        return tuple(parameter.stride())
    return tuple(math.prod(parameter.shape[axis + 1 :]) for axis in range(parameter.dim()))
