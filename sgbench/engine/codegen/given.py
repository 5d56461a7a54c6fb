"""What a step takes besides currents and state: parameters, and noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sgbench.engine.codegen.values import Untraceable


@dataclass(frozen=True)
class GivenTensor:
    """Holds a tensor without samples that a step uses: a parameter, or what is made from parameters."""

    tensor: Tensor  # as the step uses it, with its history; a copy where it has none
    read: Tensor  # a copy of its numbers, from when the step first used it
    shape: torch.Size  # to which it is expanded, [parts, ...]
    first: int  # place of its first part among all rows
    parts: int  # that it has

    @property
    def is_unmoved(self) -> bool:
        """Return whether the tensor holds the numbers that the step has read."""
        return self.tensor is self.read or bytes_of(self.tensor) == bytes_of(self.read)

    def expanded(self, features: torch.Size) -> Tensor:
        """Expand a parameter to one value for each neuron, as `[parts, *features]`."""
        return without_samples(self.tensor, self.shape).expand(self.shape).reshape(self.parts, *features)


class GivenTensors:
    """Gives each tensor that a step takes its rows, found by its numbers, or by itself (held here) if it learns."""

    def __init__(self) -> None:
        self.found: dict[tuple[object, torch.Size], GivenTensor] = {}
        self.rows = 0

    def of(self, tensor: Tensor, shape: torch.Size, *, parts: int) -> GivenTensor:
        """Return the rows of a tensor, as it is where the step takes it.

        Raises:
            Untraceable: it cannot be expanded to this shape.
        """
        learns = tensor.requires_grad
        own: object = id(tensor) if learns else (tensor.dtype, tuple(tensor.shape), bytes_of(tensor))
        if (own, shape) not in self.found:
            try:
                without_samples(tensor, shape).expand(shape)
            except RuntimeError:
                raise Untraceable(
                    "its step takes a tensor that has samples and is no input (drawn or kept by itself)"
                ) from None
            read = tensor.detach().clone()
            self.found[own, shape] = GivenTensor(tensor if learns else read, read, shape, self.rows, parts)
            self.rows += parts
        return self.found[own, shape]

    def all(self) -> tuple[GivenTensor, ...]:
        """Return those that the step has taken.

        Raises:
            Untraceable: one that learns holds other numbers than the step has read.
        """
        if not all(given.is_unmoved for given in self.found.values()):
            raise Untraceable("its step changes a tensor in place that it has used")
        return tuple(self.found.values())


@dataclass(frozen=True)
class Noise:
    """Holds numbers drawn for all samples and neurons in each step, and what torch makes of them alone."""

    stream: Tensor  # the state of the surrogate's generator
    draw: int  # place among the draws of a step
    # Operations on what was drawn, with their other arguments.
    calls: tuple[tuple[Callable[..., Tensor], tuple[Any, ...], dict[str, Any]], ...]
    is_backward: bool  # whether it is drawn on the way back


def bytes_of(tensor: Tensor) -> bytes:
    """Return the numbers of a tensor bit by bit.

    >>> list(bytes_of(torch.tensor([1, 2], dtype=torch.uint8)))
    [1, 2]
    """
    return tensor.detach().reshape(-1).view(torch.uint8).cpu().numpy().tobytes()


def without_samples(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """Drop axes in front of a shape that have one entry each."""
    while tensor.dim() > len(shape) and tensor.shape[0] == 1:
        tensor = tensor[0]
    return tensor
