"""A number with an interval, as pictures draw it."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Estimate(NamedTuple):
    """Holds a number with the ends of its interval; without an interval both ends equal the number."""

    value: float
    low: float
    high: float


def columns(points: Iterable[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Split points into their x and their y.

    >>> columns([(1.0, 2.0), (3.0, 4.0)])
    ([1.0, 3.0], [2.0, 4.0])
    """
    listed = list(points)
    return [x for x, _ in listed], [y for _, y in listed]


def broken_line(intervals: Sequence[Estimate], heights: Sequence[float]) -> tuple[list[float], list[float]]:
    """Join horizontal lines, one for each interval, into x and y of a single line with gaps.

    A thousand separate lines would take seconds to draw.

    >>> broken_line([Estimate(2.0, 1.0, 3.0)], [0.5])
    ([1.0, 3.0, nan], [0.5, 0.5, nan])
    """
    return (
        [x for interval in intervals for x in (interval.low, interval.high, math.nan)],
        [y for height in heights for y in (height, height, math.nan)],
    )
