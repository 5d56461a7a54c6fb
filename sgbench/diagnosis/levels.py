"""What the length of passed gradients promises a recurrent network before training: one of three levels."""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["fine", "short dependencies only", "fails"]


class LevelBorders(NamedTuple):
    """Holds the passing steps at which a recurrent network changes its level."""

    least: float  # below, the gradient reaches too few steps back
    fine: float  # up to here nothing is to be feared
    most: float  # above, the network fails; between the last two it learns what is near in time

    def level(self, steps: float) -> Level:
        """Return the level of a network.

        Args:
            steps: passing steps before training, mean over recurrent layers.

        >>> borders = LevelBorders(0.25, 2.0, 22.0)
        >>> [borders.level(steps) for steps in (0.1, 1.0, 8.0, 30.0)]
        ['short dependencies only', 'fine', 'short dependencies only', 'fails']
        """
        if self.least <= steps <= self.fine:
            return "fine"
        return "fails" if steps > self.most else "short dependencies only"


DETACHED = LevelBorders(0.5, 2.0, 22.0)
"""Of networks whose reset passes no gradient. `docs/passing_steps/first_study.md` has how they were fixed and how
often they err; with the reset attached passing steps tell too little."""


def sentence(steps: float) -> str:
    """Write the level of a recurrent network whose reset is detached.

    Args:
        steps: passing steps before training, mean over recurrent layers.
    """
    return (
        f"level by passing steps, reset detached: {DETACHED.level(steps)} ({steps:.2g} steps; fine is "
        f"{DETACHED.least:g} to {DETACHED.fine:g}, above {DETACHED.most:g} fails)"
    )
