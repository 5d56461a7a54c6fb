"""The interface of dropouts: which spikes between layers are dropped in training."""

from abc import ABC, abstractmethod
from typing import ClassVar

from sgbench.dropouts.mask import Mask


class Dropout(ABC):
    """Drops a part of the input of each layer that receives spikes of hidden neurons, by a mask."""

    neutral: ClassVar[bool] = False  # whether nothing is dropped

    @abstractmethod
    def make(self) -> Mask | None:
        """Make the mask of one layer's input; None if nothing is dropped."""
