"""Classify a recurrent network before training into one of three levels by its passing steps."""

from typing import Literal, NamedTuple

Level = Literal["fine", "short dependencies only", "fails"]


class LevelBorders(NamedTuple):
    """Holds the borders between the levels of a recurrent network [passing steps]."""

    least: float  # below, the gradient reaches too few steps back
    fine: float  # up to here the network trains well
    most: float  # above, training fails; between `fine` and `most` only short dependencies are learnt

    def level(self, steps: float) -> Level:
        """Return the level of a network with this many passing steps before training, mean over recurrent layers.

        >>> borders = LevelBorders(0.25, 2.0, 22.0)
        >>> [borders.level(steps) for steps in (0.1, 1.0, 8.0, 30.0)]
        ['short dependencies only', 'fine', 'short dependencies only', 'fails']
        """
        if self.least <= steps <= self.fine:
            return "fine"
        return "fails" if steps > self.most else "short dependencies only"


DETACHED = LevelBorders(0.5, 2.0, 22.0)
"""Borders for networks whose reset passes no gradient; `docs/passing_steps/first_study.md` explains their choice
and their errors. With the reset attached, passing steps predict too little."""


def sentence(steps: float) -> str:
    """Write a sentence on the level of a recurrent network whose reset is detached; see `LevelBorders.level`."""
    return (
        f"level by passing steps, reset detached: {DETACHED.level(steps)} ({steps:.2g} steps; fine is "
        f"{DETACHED.least:g} to {DETACHED.fine:g}, above {DETACHED.most:g} fails)"
    )
