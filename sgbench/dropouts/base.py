"""The contract of a dropout: which events on their way between layers are lost in training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from sgbench.dropouts.mask import Mask


class Dropout(ABC):
    """Puts a mask in front of the weights of each layer that receives spikes of hidden neurons."""

    neutral: ClassVar[bool] = False  # whether nothing is lost

    @abstractmethod
    def make(self) -> Mask | None:
        """Make the mask in front of one layer, or None where nothing is lost."""
