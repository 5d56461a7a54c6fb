"""The contract of a regulariser: a penalty on activity."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from sgbench.signals.trajectory import NOTHING, Batch, Keep, Trajectory


class Regulariser(ABC):
    """Adds a scalar to the loss.

    One that splits into shares of steps, each of which depends on filtered spikes alone, names its filter's decay.
    """

    needs: ClassVar[Keep] = NOTHING  # what a trajectory has to keep for it

    @property
    def decay(self) -> float | None:
        """Return the decay of the filter f[t] = decay f[t-1] + s[t] that `per_step` is a function of, or None."""
        return None

    def per_step(self, filtered: Tensor, batch: Batch, step: int) -> Tensor:
        """Compute one layer's share of a step in `penalty`, so that the shares add up to it.

        Args:
            filtered: spikes of the layer [B, N].
            batch: of which the lengths are used.
            step: counted from 0.
        """
        raise NotImplementedError(f"regulariser {type(self).__name__} needs the whole sequence")

    @abstractmethod
    def penalty(self, trajectory: Trajectory) -> Tensor | None:
        """Compute what is added to the loss, a scalar with gradient, or None for no penalty at all."""
