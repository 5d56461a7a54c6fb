"""The interface of dropouts, and of the masks by which they drop a part of the spikes on their way to one layer."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn


class Mask(nn.Module, ABC):
    """Drops spikes in training, none in evaluation; the training loop sets its `generator` in each epoch."""

    why_all_steps: ClassVar[str]  # end of a message: why one step cannot be masked without the others

    def __init__(self) -> None:
        super().__init__()
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes of all steps x [T, B, N], in training with a part of them dropped."""
        return self.dropped(x) if self.training else x

    @abstractmethod
    def dropped(self, x: Tensor) -> Tensor:
        """Return the spikes of all steps x [T, B, N] with a part of them dropped, as in training."""

    def uniform(self, *shape: int) -> Tensor:
        """Draw uniform numbers in [0, 1), float64, from `generator`; if it is None, from one of seed 0."""
        if self.generator is None:
            self.generator = torch.Generator().manual_seed(0)
        return torch.rand(shape, generator=self.generator, dtype=torch.float64)


def masks(network: nn.Module) -> list[Mask]:
    """Return the masks of all layers of a network."""
    return [module for module in network.modules() if isinstance(module, Mask)]


class Dropout(ABC):
    """Drops a part of the input of each layer that receives spikes of hidden neurons, by a mask."""

    neutral: ClassVar[bool] = False  # whether nothing is dropped

    @abstractmethod
    def make(self) -> Mask | None:
        """Make the mask of one layer's input; None if nothing is dropped."""
