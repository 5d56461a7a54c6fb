"""Numbers with a lower and an upper bound."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class BoundedValue:
    """Holds an estimate with the lower and the upper bound that its evidence allows; none is negative.

    >>> BoundedValue(2.0, 1.0, 4.0).times(10).plus(BoundedValue(1.0, 1.0, 1.0))
    BoundedValue(value=21.0, low=11.0, high=41.0)
    """

    value: float
    low: float
    high: float

    def times(self, factor: float) -> BoundedValue:
        return BoundedValue(self.value * factor, self.low * factor, self.high * factor)

    def over(self, divisor: float) -> BoundedValue:
        return BoundedValue(self.value / divisor, self.low / divisor, self.high / divisor)

    def of(self, other: BoundedValue) -> BoundedValue:
        return BoundedValue(self.value * other.value, self.low * other.low, self.high * other.high)

    def plus(self, other: BoundedValue) -> BoundedValue:
        return BoundedValue(self.value + other.value, self.low + other.low, self.high + other.high)

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


def exactly(value: float) -> BoundedValue:
    return BoundedValue(value, value, value)


def total(parts: Iterable[BoundedValue]) -> BoundedValue:
    """Sum energies, and their bounds each for itself."""
    summands = list(parts)
    return BoundedValue(
        math.fsum(part.value for part in summands),
        math.fsum(part.low for part in summands),
        math.fsum(part.high for part in summands),
    )
