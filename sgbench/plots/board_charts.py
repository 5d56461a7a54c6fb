"""Build charts of boards: scores of every seed, rank intervals, and scores over settings and tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series, as_error, ends_of, thinned, value_text
from sgbench.plots.estimate import Estimate

if TYPE_CHECKING:
    from sgbench.plots.methods import MeanRanks, PerformanceProfile, TuningCurve

MAX_ROWS = 60
MAX_LINES = 24
MOST_BANDS = 4  # more would cover each other
MOST_MARKED = 10  # settings up to which each has a mark
MOST_STEPS = 100  # of a performance profile
LOG_FROM_RATIO = 5
SEED_BELOW = 0.24  # of a row, from its mean to its seeds


@dataclass(frozen=True)
class ScoredRow:
    """Describes one method: its scores as accuracies in % or as losses, and its rank interval."""

    name: str
    link: str
    mean: Estimate
    seeds: tuple[float, ...]  # scores of finished runs
    failed: tuple[float, ...] = ()  # scores of failed runs, as by guessing
    ranks: tuple[int, int] | None = None  # best and worst, from 1
    groups: str = ""  # letters of its groups of methods without significant differences


def score_charts(rows: Sequence[ScoredRow], *, is_loss: bool, guess: float, caption: str) -> Charts:
    """Build the chart of means with their intervals, and of all seeds below, the best method on top.

    Errors are drawn in place of accuracies, on a logarithmic axis, so that good methods are distinguishable.
    """
    shown = [*enumerate(rows[:MAX_ROWS])]
    means = [_mean(row, index, is_loss=is_loss) for index, row in shown]
    seed_scores = [(score, index + SEED_BELOW) for index, row in shown for score in row.seeds]
    failed_scores = [(score, index + SEED_BELOW) for index, row in shown for score in row.failed]
    seeds, failed = (
        [ChartPoint(as_error(score, is_loss=is_loss), y) for score, y in scores]
        for scores in (seed_scores, failed_scores)
    )
    values = [point.x for point in (*seeds, *failed, *means)]
    low, high = min(values), max(values)
    series = (
        Series("each seed", tuple(seeds), tone="soft"),
        Series("failed seed, counted as guessing", tuple(failed), tone="bad"),
        Series("mean with its 95 % interval", tuple(means)),
    )
    title = "test loss" if is_loss else "test error, %"
    x_axis = ChartAxis(title, low > 0 and high > LOG_FROM_RATIO * low, ends=(low, high))
    guess_error = as_error(guess, is_loss=is_loss)
    lines = (guess_error,) if low < guess_error < high else ()
    names = ChartAxis(names=tuple(row.name for _, row in shown))
    return Charts(caption, (Chart("Scores", x_axis, names, series, x_lines=lines),))


def _mean(row: ScoredRow, index: int, *, is_loss: bool) -> ChartPoint:
    """Make the point of the mean of a row, the row at `index`; its interval may extend beyond the axis."""
    low, high = sorted(as_error(end, is_loss=is_loss) for end in (row.mean.low, row.mean.high))
    tooltip = f"{row.name}: {value_text(row.mean.value, ends_of(row.mean), '' if is_loss else ' %')}"
    ends = (low, high) if low < high else None
    return ChartPoint(as_error(row.mean.value, is_loss=is_loss), index, tooltip, row.link, x_ends=ends)


def rank_charts(rows: Sequence[ScoredRow], *, caption: str) -> Charts:
    """Build the chart of rank intervals, with the letters of groups without significant differences."""
    ranked = [(row, row.ranks) for row in rows if row.ranks is not None]
    points = [
        ChartPoint(
            end,
            index,
            f"{row.name}: {_ranks_text(ranks)}, alike: {row.groups}",
            row.link,
            x_ends=ranks if end == ranks[0] < ranks[1] else None,
        )
        for index, (row, ranks) in enumerate(ranked[:MAX_ROWS])
        for end in dict.fromkeys(ranks)
    ]
    names = tuple(f"{row.name} · {row.groups}" for row, _ in ranked[:MAX_ROWS])
    x_axis = ChartAxis(f"places that a method may have, of {len(ranked)}")
    return Charts(caption, (Chart("Ranks", x_axis, ChartAxis(names=names), (Series("", tuple(points)),)),))


def _ranks_text(ranks: tuple[int, int]) -> str:
    first, last = ranks
    return f"place {first}" if first == last else f"places {first} to {last}"


def tuning_charts(curves: Sequence[TuningCurve], *, axis: str, caption: str) -> Charts:
    """Build the chart of expected test scores against the number of settings tried, the best method first."""
    series = tuple(_tuning_series(index, curve) for index, curve in enumerate(curves[:MAX_LINES]))
    chart = Chart("Settings", ChartAxis("settings tried, of those here"), ChartAxis(axis), series)
    return Charts(caption, (chart,))


def _tuning_series(index: int, curve: TuningCurve) -> Series:
    """Make the line of the curve at an index, with a band if it is among the first four."""
    has_band = index < MOST_BANDS
    points = []
    for tried, (score, low, high) in enumerate(zip(curve.scores, curve.low, curve.high, strict=True), start=1):
        tooltip = f"{curve.name}, {tried} tried: {value_text(score, (low, high))}"
        points.append(ChartPoint(tried, score, tooltip, y_ends=(low, high) if has_band else None))
    is_marked = len(points) <= MOST_MARKED
    return Series(curve.name, thinned(points), is_line=True, is_marked=is_marked, has_band=has_band)


def across_charts(profiles: Sequence[PerformanceProfile], ranks: MeanRanks | None, *, caption: str) -> Charts:
    """Build the charts of performance profiles and, with several tasks, of mean ranks.

    Two mean ranks differ significantly if their whiskers, each a critical difference long, do not overlap.
    """
    x_axis, y_axis = ChartAxis("normalised score (0 guessing, 1 perfect)"), ChartAxis("runs above it, %")
    lines = tuple(_profile_series(profile) for profile in profiles[:MAX_LINES])
    above = Chart("Runs above each normalised score", x_axis, y_axis, lines)
    return Charts(caption, (above,) if ranks is None else (above, _mean_ranks_chart(ranks)))


def _profile_series(profile: PerformanceProfile) -> Series:
    """Make the line of a profile as steps: between two scores the share is that of runs above the lower one."""
    last = len(profile.scores) - 1
    chosen = np.unique(np.linspace(0, last, min(last + 1, MOST_STEPS)).round().astype(int))
    corners = [ChartPoint(float(profile.scores[index]), float(profile.shares[index])) for index in chosen]
    points = corners[:1]
    for before, after in pairwise(corners):
        points += [ChartPoint(after.x, before.y), after]
    return Series(profile.name, tuple(points), is_line=True, is_marked=False)


def _mean_ranks_chart(ranks: MeanRanks) -> Chart:
    ranked = sorted((rank, name) for name, rank in ranks.by_name.items())
    half = ranks.critical_difference / 2
    points = tuple(
        ChartPoint(rank, index, f"{name}: mean rank {rank:.2f}", x_ends=(rank - half, rank + half))
        for index, (rank, name) in enumerate(ranked)
    )
    title = f"Mean rank over {ranks.tasks} tasks (1 the best)"
    names = ChartAxis(names=tuple(name for _, name in ranked))
    return Chart(title, ChartAxis("mean rank"), names, (Series("mean ranks", points),))
