"""The contract of a regulariser: a penalty on activity."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from sgbench.signals.trajectory import NOTHING, Keep, Trajectory


class Regulariser(ABC):
    """Adds a scalar to the loss."""

    needs: ClassVar[Keep] = NOTHING  # what a trajectory has to keep for it

    @abstractmethod
    def penalty(self, trajectory: Trajectory) -> Tensor | None:
        """A scalar with gradient, or None for no penalty at all."""
