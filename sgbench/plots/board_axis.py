"""The axis of a board's picture on which methods are compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sgbench.leaderboard.rows import Board

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TICKS = (0, 20, 40, 60, 70, 80, 85, 90, 92, 94, 95, 96, 97, 98, 98.5, 99, 99.5, 99.8, 99.9, 99.95, 99.99)
STEPS = (1, 0.5, 0.2, 0.1, 0.05)  # % between ticks where methods lie close together
MIN_TICKS = 4
MIN_TICK_GAP = 0.08  # of the axis
CHARACTER = 0.028  # of the axis, as wide as one of a label


LEAST_LOSS = 1e-12  # what has no logarithm is drawn there


def place_of(board: Board) -> Callable[[float], float]:
    """Where a score stands on the axis."""
    if board.measure.is_loss:
        return lambda loss: math.log10(max(loss, LEAST_LOSS))
    best_visible = 1 - 0.5 / max(board.test_samples, default=1000)
    return lambda accuracy: -math.log10(1 - min(max(accuracy, 0.0), best_visible))


def axis_label(board: Board) -> str:
    """What is drawn, and how."""
    if board.measure.is_loss:
        return "test loss, less is better\n(scale: log)"
    return "test accuracy, %\n(scale: log of the error)"


def score_axis(axes: Axes, board: Board, seen: Sequence[float]) -> None:
    """Limits and ticks for these places."""
    if board.measure.is_loss:
        _loss_axis(axes, seen)
    else:
        accuracy_axis(axes, seen)


def _loss_axis(axes: Axes, seen: Sequence[float]) -> None:
    """A few of 1, 2 and 5 in each decade."""
    low, high = min(seen, default=-1.0), max(seen, default=0.0)
    margin = 0.05 * (high - low) or 0.1
    low, high = low - margin, high + margin
    axes.set_xlim(low, high)
    for parts in (
        (1,),
        (1, 3),
        (1, 2, 5),
        (1, 1.5, 2, 3, 4, 5, 7),
        tuple(1 + step / 10 for step in range(90)),
    ):
        ticks = [part * 10.0**power for power in range(math.floor(low), math.ceil(high)) for part in parts]
        kept = {math.log10(tick): tick for tick in ticks if low <= math.log10(tick) <= high}
        if len(kept) >= MIN_TICKS:
            break
    spread = _apart(kept, MIN_TICK_GAP * (high - low))
    axes.set_xticks(list(spread), [f"{tick:.3g}" for tick in spread.values()])


def _apart(ticks: dict[float, float], gap: float) -> dict[float, float]:
    kept: dict[float, float] = {}
    for place, tick in ticks.items():
        if place - max(kept, default=-math.inf) > gap:
            kept[place] = tick
    return kept


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
    """The ticks inside an axis whose labels do not touch, by their place."""
    kept: dict[float, float] = {}
    for tick in ticks:
        found = -math.log10(1 - tick / 100)
        gap = max(MIN_TICK_GAP, CHARACTER * len(f"{tick:g}"))
        if low <= found <= high and found - max(kept, default=-math.inf) > gap * (high - low):
            kept[found] = tick
    return kept
