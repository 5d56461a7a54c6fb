"""Numbers between the ends that their evidence allows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A value between the ends that its evidence allows.

    >>> Interval(2.0, 1.0, 4.0).times(10).plus(Interval(1.0, 1.0, 1.0))
    Interval(value=21.0, low=11.0, high=41.0)
    """

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Interval:
        """Multiply value and ends by one factor that is not negative."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)

    def over(self, divisor: float) -> Interval:
        """Divide value and ends by one number above 0."""
        return Interval(self.value / divisor, self.low / divisor, self.high / divisor)

    def of(self, other: Interval) -> Interval:
        """Multiply two intervals that are not negative: low ends together, high ends together."""
        return Interval(self.value * other.value, self.low * other.low, self.high * other.high)

    def plus(self, other: Interval) -> Interval:
        """Add two intervals, low ends together and high ends together."""
        return Interval(self.value + other.value, self.low + other.low, self.high + other.high)

    def holds(self, value: float) -> bool:
        """Say whether a number lies within the ends."""
        return self.low <= value <= self.high


def exactly(value: float) -> Interval:
    """Return a number that is known exactly as an interval of width 0."""
    return Interval(value, value, value)


def total(parts: Iterable[Interval]) -> Interval:
    """Add intervals as if every doubt erred to one side, which is the widest that the parts allow."""
    given = list(parts)
    return Interval(
        math.fsum(part.value for part in given),
        math.fsum(part.low for part in given),
        math.fsum(part.high for part in given),
    )
