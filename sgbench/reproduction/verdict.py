"""Judges measured figures against published ones."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from sgbench.reproduction.definition import Figure

Verdict = Literal["agrees", "does not agree", "not measured"]
ROUNDING = 1e-12


class ConditionCell(NamedTuple):
    """Describes one setting of a condition."""

    values: Mapping[int, float | None]  # the measure by seed; None where there is none
    rank: float  # mean accuracy on validation, by which cells are selected


class Judged(NamedTuple):
    """Holds a published figure, its measured value, and whether the two agree."""

    figure: Figure
    ours: float | None
    deviation: float | None  # standard deviation over seeds
    seeds: int
    verdict: Verdict
    note: str | None  # why it was not measured
    by_seed: tuple[float, ...] = ()


def judge(figure: Figure, cells: Mapping[str, Sequence[ConditionCell]]) -> Judged:
    """Compare one published figure with its measured value.

    A condition is worth the mean over its seeds, and over its best cells if the figure names how many; `gap` is the
    smallest of all conditions but the last above the last, `spread` the largest above the smallest.

    Args:
        figure: published.
        cells: measured, by condition.

    >>> figure = Figure(line="a", of=("b",), published=0.9, tolerance=0.1, evidence="by hand")
    >>> judged = judge(figure, {"b": [ConditionCell({0: 0.8, 1: 0.84}, rank=0.8)]})
    >>> round(judged.ours, 4), round(judged.deviation, 4), judged.verdict
    (0.82, 0.0283, 'agrees')
    """
    missing = sum(
        value is None for name in figure.of for cell in cells[name] for value in cell.values.values()
    )
    if missing:
        return Judged(
            figure, None, None, 0, "not measured", f"{missing} run{'s' * (missing > 1)} without a result"
        )
    by_seed = [_worth(cells[name], figure.best_cells) for name in figure.of]
    ours = _combined(figure, [statistics.fmean(scores.values()) for scores in by_seed])
    seeds = [seed for seed in by_seed[0] if all(seed in scores for scores in by_seed)]
    each = tuple(_combined(figure, [scores[seed] for scores in by_seed]) for seed in seeds)
    deviation = statistics.stdev(each) if len(each) > 1 else None
    return Judged(figure, ours, deviation, len(seeds), _verdict(figure, ours), None, each)


def _worth(cells: Sequence[ConditionCell], best: int | None) -> dict[int, float]:
    """Average the measure over the selected cells, by seed."""
    counting = sorted(cells, key=lambda cell: -cell.rank)[:best]
    return {
        seed: statistics.fmean(cell.values[seed] for cell in counting)  # type: ignore[misc] - none is None here
        for seed in counting[0].values
    }


def _combined(figure: Figure, worth: Sequence[float]) -> float:
    """Combine the conditions of a figure to one number: a mean, a gap or a spread."""
    if figure.statistic == "mean":
        return worth[0]
    if figure.statistic == "gap":
        return min(worth[:-1]) - worth[-1]
    return max(worth) - min(worth)


def _verdict(figure: Figure, ours: float) -> Verdict:
    """Return whether our number lies within the published bounds."""
    low, high = -math.inf, math.inf
    if figure.published is not None and figure.tolerance is not None:
        low, high = figure.published - figure.tolerance, figure.published + figure.tolerance
    elif figure.at_least is not None:
        low = figure.at_least
    elif figure.at_most is not None:
        high = figure.at_most
    return "agrees" if low - ROUNDING <= ours <= high + ROUNDING else "does not agree"
