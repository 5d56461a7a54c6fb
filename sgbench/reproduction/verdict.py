"""Judge measured figures against published ones."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from sgbench.reproduction.definition import Figure

Verdict = Literal["agrees", "does not agree", "not measured"]
ROUNDING = 1e-12  # differences up to this are rounding, and do not decide a verdict


class ConditionCell(NamedTuple):
    """Holds the results of one combination of a condition's settings."""

    values: Mapping[int, float | None]  # the measure by seed; None for a run without it
    rank: float  # mean accuracy on validation, by which cells are selected


class Judged(NamedTuple):
    """Holds a published figure, its measured value, and whether the two agree."""

    figure: Figure
    ours: float | None  # measured value; None: not measured
    deviation: float | None  # standard deviation over seeds; None with fewer than two
    seeds: int  # count of seeds that all conditions have
    verdict: Verdict
    note: str | None  # why it was not measured
    by_seed: tuple[float, ...] = ()  # the figure's value for each of these seeds


def judge(figure: Figure, cells: Mapping[str, Sequence[ConditionCell]]) -> Judged:
    """Compare one published figure with its measured value.

    The value of a condition is the mean over its seeds and its cells, or its best cells if the figure says how
    many. The figure is that value ("mean"), the smallest value of all conditions but the last minus the last one
    ("gap"), or the largest minus the smallest ("spread"). If a run has no result, the figure is not measured.

    >>> figure = Figure(line="a", of=("b",), published=0.9, tolerance=0.1, evidence="by hand")
    >>> judged = judge(figure, {"b": [ConditionCell({0: 0.8, 1: 0.84}, rank=0.8)]})
    >>> round(judged.ours, 4), round(judged.deviation, 4), judged.verdict
    (0.82, 0.0283, 'agrees')
    """
    missing = sum(value is None for name in figure.of for cell in cells[name] for value in cell.values.values())
    if missing:
        return Judged(figure, None, None, 0, "not measured", f"{missing} run{'s' * (missing > 1)} without a result")
    conditions = [_mean_by_seed(cells[name], figure.best_cells) for name in figure.of]
    ours = _combine(figure, [statistics.fmean(scores.values()) for scores in conditions])
    seeds = [seed for seed in conditions[0] if all(seed in scores for scores in conditions)]
    by_seed = tuple(_combine(figure, [scores[seed] for scores in conditions]) for seed in seeds)
    deviation = statistics.stdev(by_seed) if len(by_seed) > 1 else None
    return Judged(figure, ours, deviation, len(seeds), _verdict(figure, ours), None, by_seed)


def _mean_by_seed(cells: Sequence[ConditionCell], best: int | None) -> dict[int, float]:
    selected = sorted(cells, key=lambda cell: -cell.rank)[:best]
    return {
        seed: statistics.fmean(cell.values[seed] for cell in selected)  # type: ignore[misc] - none is None here
        for seed in selected[0].values
    }


def _combine(figure: Figure, values: Sequence[float]) -> float:
    if figure.statistic == "mean":
        return values[0]
    if figure.statistic == "gap":
        return min(values[:-1]) - values[-1]
    return max(values) - min(values)


def _verdict(figure: Figure, ours: float) -> Verdict:
    """Return whether our value lies within the published tolerance or bound, apart from rounding."""
    low, high = -math.inf, math.inf
    if figure.published is not None and figure.tolerance is not None:
        low, high = figure.published - figure.tolerance, figure.published + figure.tolerance
    elif figure.at_least is not None:
        low = figure.at_least
    elif figure.at_most is not None:
        high = figure.at_most
    return "agrees" if low - ROUNDING <= ours <= high + ROUNDING else "does not agree"
