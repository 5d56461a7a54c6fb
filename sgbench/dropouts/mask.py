"""What drops a part of the events on their way to one layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn


class Mask(nn.Module, ABC):
    """Drops events in training, and none otherwise; it draws from a generator that each epoch sets anew."""

    why_all_steps: ClassVar[str]  # why what it does to one step depends on the others

    def __init__(self) -> None:
        super().__init__()
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return the masked events of all steps [T, B, N]; in evaluation nothing is masked."""
        return self.dropped(x) if self.training else x

    @abstractmethod
    def dropped(self, x: Tensor) -> Tensor:
        """Drop a part of the events of all steps [T, B, N], as training does."""

    def uniform(self, *shape: int) -> Tensor:
        """Draw uniform numbers in [0, 1) from the mask's own generator, float64 of the given shape."""
        if self.generator is None:
            self.generator = torch.Generator().manual_seed(0)
        return torch.rand(shape, generator=self.generator, dtype=torch.float64)


def masks(network: nn.Module) -> list[Mask]:
    """List all masks of a network, the first layer's first."""
    return [module for module in network.modules() if isinstance(module, Mask)]
