"""The contract of a steepness: how steep a surrogate is in the course of training."""

from __future__ import annotations

from abc import ABC, abstractmethod

from sgbench.errors import InputError, require_number
from sgbench.surrogates.base import Surrogate

LOW, HIGH = 1e-4, 1e4


class Steepness(ABC):
    """Moves the stretch of the surrogates of a network; `Surrogate` says what a stretch keeps."""

    def begin(self, surrogate: Surrogate) -> None:  # noqa: B027 - most have nothing to prepare
        """Prepare the surrogate of one layer to change its steepness, before the optimiser is made.

        Raises:
            InputError: it cannot be moved this way.
        """

    @abstractmethod
    def factor(self, progress: float) -> float:
        """Return the stretch, the factor on a surrogate's steepness, at a share of training in [0, 1]."""


class Schedule(Steepness):
    """Moves the stretch from 1 at the first epoch to `final` at the last one.

    Args:
        final: stretch of the last epoch; above 1 the slope narrows.

    Raises:
        InputError: out of [1e-4, 1e4].
    """

    def __init__(self, *, final: float) -> None:
        self.final = require_number("steepness.final", final, low=LOW, high=HIGH)


def share(progress: float) -> float:
    """Require a share of training in [0, 1] and return it."""
    if not 0 <= progress <= 1:
        raise InputError(f"progress {progress}: a share of training in [0, 1] is needed")
    return progress
