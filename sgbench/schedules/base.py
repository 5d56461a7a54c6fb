"""The interface of learning rate schedules: factors on the optimiser's own learning rate."""

import math
from abc import ABC, abstractmethod
from typing import NamedTuple


class Moment(NamedTuple):
    """Holds the progress of a training before one of its batches."""

    epoch: int
    """Index of the current epoch, from 0."""
    epochs: int
    """Number of epochs that the protocol allows."""
    batch: int
    """Index of the next batch in this epoch, from 0."""
    batches: int
    """Number of batches in each epoch."""
    losses: tuple[float, ...]
    """The monitored validation value after each finished epoch, lower is better (an accuracy with minus sign)."""


class RateSchedule(ABC):
    """Sets the learning rate of every batch: the optimiser's own times a factor.

    A schedule has no state: it computes the factor from the moment alone, so that a resumed run, or one that trains
    together with others, has the same learning rates.
    """

    @abstractmethod
    def factor(self, moment: Moment) -> float:
        """Return the factor on the learning rate for the next batch, at least 0."""


def half_cosine(start: float, end: float, share: float) -> float:
    """Move from start (share 0) to end (share 1) along half a cosine.

    >>> half_cosine(1.0, 0.0, 0.5)
    0.5
    """
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
