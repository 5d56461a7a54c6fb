"""What a learning rule draws from: a stream that each epoch sets anew."""

from __future__ import annotations

import torch
from torch import Tensor


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
