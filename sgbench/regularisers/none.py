"""No penalty."""

from __future__ import annotations

from sgbench.regularisers.base import Regulariser
from sgbench.signals.trajectory import Trajectory


class NoPenalty(Regulariser):
    """Leaves the loss as it is."""

    def penalty(self, trajectory: Trajectory) -> None:
        """Return None: the loss stays as it is."""
        return
