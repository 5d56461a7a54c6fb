"""No penalty."""

from fastspiking.signals.trajectory import Trajectory
from sgbench.regularisers.base import Regulariser


class NoPenalty(Regulariser):
    """Leaves the loss as it is."""

    def penalty(self, trajectory: Trajectory) -> None:
        """Return None: the loss stays as it is."""
        return
