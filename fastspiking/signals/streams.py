"""Independent random generators for each purpose, all derived from a run's seed."""

import hashlib
from typing import Literal

import torch
from torch import Tensor

Stream = Literal[
    "data_order", "encoding", "initialisation", "noise", "dropout", "augmentation", "diagnosis", "robustness"
]


def generator(seed: int, stream: Stream, *parts: int | str) -> torch.Generator:
    """Make a random generator for one purpose, seeded by a hash of all arguments.

    Other arguments give independent numbers, so that adding a stream changes no other, and a resumed run draws what an
    uninterrupted one would. `seed`: of the run. `parts`: what the numbers are for within the stream, e.g. a split and
    an epoch.

    >>> first = torch.rand(1, generator=generator(3, "noise", 0))
    >>> bool(first == torch.rand(1, generator=generator(3, "noise", 0)))
    True
    """
    text = "/".join(["sgbench", str(seed), stream, *(str(part) for part in parts)])
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
    return torch.Generator().manual_seed(number)


class NoiseSource:
    """Draws normal numbers from its own `generator`, which a run sets anew in each epoch.

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
