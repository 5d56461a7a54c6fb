"""Separate streams of random numbers, all derived from a run's one seed."""

from __future__ import annotations

import hashlib
from typing import Literal

import torch
from torch import Tensor

Stream = Literal[
    "data_order", "encoding", "initialisation", "noise", "dropout", "augmentation", "diagnosis", "robustness"
]


def generator(seed: int, stream: Stream, *parts: int | str) -> torch.Generator:
    """Make a fresh generator for one purpose; streams and parts (an epoch, a split) do not overlap.

    A new stream never shifts another one, and a continued run draws what an undisturbed one would have drawn.

    >>> first = torch.rand(1, generator=generator(3, "noise", 0))
    >>> bool(first == torch.rand(1, generator=generator(3, "noise", 0)))
    True
    """
    text = "/".join(["sgbench", str(seed), stream, *(str(part) for part in parts)])
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
    return torch.Generator().manual_seed(number)


class NoiseSource:
    """Draws normal numbers from a generator of its own, which is a function of seed and epoch in a run.

    >>> source = NoiseSource()
    >>> source.generator = torch.Generator().manual_seed(3)
    >>> source.normal_like(torch.zeros(2)).shape
    torch.Size([2])
    """

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(0)

    def normal_like(self, values: Tensor) -> Tensor:
        """Draw independent numbers of mean 0 and variance 1, of the shape, dtype and device of `values`."""
        drawn = torch.randn(values.shape, generator=self.generator, dtype=values.dtype)
        return drawn.to(values.device)
