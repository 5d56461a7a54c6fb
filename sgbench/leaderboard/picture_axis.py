"""The axis of a board's picture on which methods are compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TICKS = (0, 20, 40, 60, 70, 80, 85, 90, 92, 94, 95, 96, 97, 98, 98.5, 99, 99.5, 99.8, 99.9, 99.95, 99.99)
STEPS = (1, 0.5, 0.2, 0.1, 0.05)  # % between ticks where methods lie close together
MIN_TICKS = 4
MIN_TICK_GAP = 0.08  # of the axis


def accuracy_axis(axes: Axes, seen: Sequence[float]) -> None:
    """Limits and ticks for these places, on which equal ratios of errors have equal lengths."""
    low, high = min(seen, default=0.0), max(seen, default=1.0)
    margin = 0.05 * (high - low) or 0.1
    low, high = low - margin, high + margin
    axes.set_xlim(low, high)
    even = (tuple(step * count for count in range(int(100 / step))) for step in STEPS)
    kept: dict[float, float] = {}
    for ticks in (TICKS, *even):
        kept = _spread(ticks, low, high)
        if len(kept) >= MIN_TICKS:
            break
    axes.set_xticks(list(kept), [f"{tick:g}" for tick in kept.values()])


def _spread(ticks: Sequence[float], low: float, high: float) -> dict[float, float]:
    """The ticks inside an axis that do not touch, by their place."""
    kept: dict[float, float] = {}
    for tick in ticks:
        found = -math.log10(1 - tick / 100)
        if low <= found <= high and found - max(kept, default=-math.inf) > MIN_TICK_GAP * (high - low):
            kept[found] = tick
    return kept
