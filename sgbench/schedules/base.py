"""The contract of a schedule: the learning rate in the course of training, as a factor on the optimiser's own."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple


class Moment(NamedTuple):
    """Says how far a training has come, before one of its batches."""

    epoch: int
    """Under way, from 0."""
    epochs: int
    """That the protocol allows."""
    batch: int
    """Of this epoch, from 0."""
    batches: int
    """In each epoch."""
    losses: tuple[float, ...]
    """What selects the best epoch, after each whole epoch, the lower the better."""


class RateSchedule(ABC):
    """Sets the learning rate of every batch: the optimiser's own times a factor.

    A schedule keeps nothing between two calls. What it needs of the past is in the moment, so that an interrupted
    run and one that trains beside others have the same learning rates.
    """

    @abstractmethod
    def factor(self, moment: Moment) -> float:
        """Return the factor on the learning rate for the batch that comes next, at least 0."""


def half_cosine(start: float, end: float, share: float) -> float:
    """Move from start to end on half a cosine.

    >>> half_cosine(1.0, 0.0, 0.5)
    0.5
    """
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
