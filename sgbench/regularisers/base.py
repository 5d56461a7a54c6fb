"""The interface of regularisers: penalties on activity."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from fastspiking.signals.trajectory import NOTHING, Batch, Keep, Trajectory


class Regulariser(ABC):
    """Adds a scalar penalty on a network's activity to the loss.

    A penalty that is a sum over steps of functions of filtered spikes also defines `decay` and `per_step`, so that
    online rules can use it.
    """

    needs: ClassVar[Keep] = NOTHING  # signals that the trajectory has to keep for the penalty

    @property
    def decay(self) -> float | None:
        """Return the decay of the filter f[t] = decay f[t-1] + s[t] for `per_step`; None without `per_step`."""
        return None

    def per_step(self, filtered: Tensor, batch: Batch, step: int) -> Tensor:
        """Compute the part of `penalty` that belongs to one layer and one step, a scalar.

        Args:
            filtered: filtered spikes f[t] of the layer [B, N].
            batch: gives the length of each sample.
            step: index t of the step, from 0.

        Raises:
            NotImplementedError: the penalty needs the whole sequence.
        """
        raise NotImplementedError(f"regulariser {type(self).__name__} needs the whole sequence")

    @abstractmethod
    def penalty(self, trajectory: Trajectory) -> Tensor | None:
        """Compute the penalty on a batch's trajectory, a scalar with gradient; None if there is none."""
