"""The accuracy axis of the pictures of sweeps: equal ratios of errors have equal lengths."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from sgbench.sweeps.results import Row

LABEL = "validation accuracy, % (scale: log of the error)"
TICKS = (0, 20, 40, 60, 70, 80, 85, 90, 92, 94, 95, 96, 97, 98, 98.5, 99, 99.5, 99.8, 99.9)
BEST_PERCENT = 99.95  # what is better is drawn here
MARGIN = 0.03
BEYOND = 0.4  # of the spread of the values, up to which their intervals may widen the axis


def stretch(percent: Any) -> Any:
    """The place of an accuracy.

    >>> [round(float(stretch(percent)), 6) for percent in (90.0, 99.0)]
    [1.0, 2.0]
    """
    return -np.log10(1 - np.minimum(percent, BEST_PERCENT) / 100)


def shrink(place: Any) -> Any:
    """The accuracy at a place."""
    return 100 * (1 - np.power(10.0, -np.asarray(place)))


def limits(values: Iterable[float], rows: Iterable[Row]) -> tuple[float, float]:
    """From where to where the axis reaches [%]: all values, and their intervals unless one dwarfs the rest.

    Args:
        values: accuracies that have to be seen [1].
        rows: whose intervals should be.
    """
    seen = [_place(value) for value in values]
    summaries = [row.validation for row in rows if row.validation]
    ends = [_place(end) for each in summaries for end in (each.low, each.high) if end is not None]
    low, high = min(seen), max(seen)
    room = BEYOND * (high - low) or math.inf
    low, high = max(min([low, *ends]), low - room), min(max([high, *ends]), high + room)
    margin = MARGIN * (high - low) or 0.05
    return float(shrink(low - margin)), min(float(shrink(high + margin)), 99.99)


def _place(accuracy: float) -> float:
    return float(stretch(100 * min(max(accuracy, 0.0), 1.0)))


def ticks(low: float, high: float, gap: float) -> list[float]:
    """Ticks inside an axis that do not touch.

    Args:
        low: left or lower end [%].
        high: the other end [%].
        gap: least distance as a fraction of the axis.
    """
    first, last = float(stretch(low)), float(stretch(high))
    kept: list[float] = []
    for tick in TICKS:
        place = float(stretch(tick))
        before = float(stretch(kept[-1])) if kept else -math.inf
        if first <= place <= last and place - before > gap * (last - first):
            kept.append(tick)
    return kept
