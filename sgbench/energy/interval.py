"""Numbers between the ends that their evidence allows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class BoundedValue:
    """Holds a value between the ends that its evidence allows.

    >>> BoundedValue(2.0, 1.0, 4.0).times(10).plus(BoundedValue(1.0, 1.0, 1.0))
    BoundedValue(value=21.0, low=11.0, high=41.0)
    """

    value: float
    low: float
    high: float

    def times(self, factor: float) -> BoundedValue:
        """Multiply value and ends by one factor that is not negative."""
        return BoundedValue(self.value * factor, self.low * factor, self.high * factor)

    def over(self, divisor: float) -> BoundedValue:
        """Divide value and ends by one number above 0."""
        return BoundedValue(self.value / divisor, self.low / divisor, self.high / divisor)

    def of(self, other: BoundedValue) -> BoundedValue:
        """Multiply two intervals that are not negative: low ends together, high ends together."""
        return BoundedValue(self.value * other.value, self.low * other.low, self.high * other.high)

    def plus(self, other: BoundedValue) -> BoundedValue:
        """Add two intervals, low ends together and high ends together."""
        return BoundedValue(self.value + other.value, self.low + other.low, self.high + other.high)

    def holds(self, value: float) -> bool:
        """Return whether a number lies within the ends."""
        return self.low <= value <= self.high


def exactly(value: float) -> BoundedValue:
    """Return a number that is known exactly as an interval of width 0."""
    return BoundedValue(value, value, value)


def total(parts: Iterable[BoundedValue]) -> BoundedValue:
    """Add intervals as if every doubt erred to one side, which is the widest that the parts allow."""
    given = list(parts)
    return BoundedValue(
        math.fsum(part.value for part in given),
        math.fsum(part.low for part in given),
        math.fsum(part.high for part in given),
    )
