"""The interface of a steepness schedule: how a surrogate's steepness changes in training."""

from abc import ABC, abstractmethod

from sgbench.errors import InputError, require_number
from sgbench.surrogates.base import Surrogate

LOW, HIGH = 1e-4, 1e4


class Steepness(ABC):
    """Changes the stretch of a network's surrogates in training, a factor on their steepness; see `Surrogate`."""

    def begin(self, surrogate: Surrogate) -> None:  # noqa: B027 - most have nothing to prepare
        """Prepare the surrogate of one layer, before the optimiser is made; most need no preparation.

        Raises:
            InputError: the surrogate's steepness cannot change this way.
        """

    @abstractmethod
    def factor(self, progress: float) -> float:
        """Return the stretch, the factor on a surrogate's steepness; progress is the share of training done."""


class Schedule(Steepness):
    """Changes the stretch from 1 in the first epoch to `final` in the last one.

    Args:
        final: stretch in the last epoch; above 1 the surrogate becomes steeper.

    Raises:
        InputError: a `final` out of [1e-4, 1e4].
    """

    def __init__(self, *, final: float) -> None:
        self.final = require_number("steepness.final", final, low=LOW, high=HIGH)


def share(progress: float) -> float:
    """Return the share of training done, or raise an `InputError` if it is out of [0, 1]."""
    if not 0 <= progress <= 1:
        raise InputError(f"progress {progress}: a share of training in [0, 1] is needed")
    return progress
