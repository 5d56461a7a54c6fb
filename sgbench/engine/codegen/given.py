"""What a step takes besides currents and state: parameters, and noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class GivenTensor:
    """Holds a tensor without samples that a step uses: a parameter, or what is made from parameters.

    Args:
        tensor: as the step uses it, with its history; a copy where it has none.
        read: a copy of its numbers, from when the step first used it.
        shape: to which it is expanded, [parts, ...].
        first: place of its first part among all rows.
        parts: that it has.
    """

    tensor: Tensor
    read: Tensor
    shape: torch.Size
    first: int
    parts: int

    @property
    def is_unmoved(self) -> bool:
        """Say whether the tensor holds the numbers that the step has read."""
        return self.tensor is self.read or bytes_of(self.tensor) == bytes_of(self.read)

    def expanded(self, features: torch.Size) -> Tensor:
        """Expand a parameter to one value for each neuron, as `[parts, *features]`."""
        return without_samples(self.tensor, self.shape).expand(self.shape).reshape(self.parts, *features)


@dataclass(frozen=True)
class Noise:
    """Holds numbers drawn for all samples and neurons in each step, and what torch makes of them alone.

    Args:
        stream: the state of the surrogate's generator.
        draw: place among the draws of a step.
        calls: operations on what was drawn, with their other arguments.
        is_backward: whether it is drawn on the way back.
    """

    stream: Tensor
    draw: int
    calls: tuple[tuple[Callable[..., Tensor], tuple[Any, ...], dict[str, Any]], ...]
    is_backward: bool


def bytes_of(tensor: Tensor) -> bytes:
    """Return the numbers of a tensor bit by bit.

    >>> list(bytes_of(torch.tensor([1, 2], dtype=torch.uint8)))
    [1, 2]
    """
    return tensor.detach().reshape(-1).view(torch.uint8).numpy().tobytes()


def without_samples(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """Drop axes in front of a shape that have one entry each."""
    while tensor.dim() > len(shape) and tensor.shape[0] == 1:
        tensor = tensor[0]
    return tensor
