"""Build charts of boards: scores of every seed, and scores over settings and tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sgbench.errors import InputError
from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Estimate, Series, ends_of, thinned, value_text
from sgbench.plots.figure import charts_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_ROWS, MAX_LINES = 60, 24
MOST_BANDS, MOST_MARKED = 4, 10  # more bands would cover each other; settings up to which each has a mark
MOST_STEPS, MOST_TICKS = 100, 10  # of a performance profile, and of the axis of tried settings
WIDE = 10.0, 5.0  # of a figure's panel [inches]
LOG_FROM_RATIO = 5
SEED_BELOW = 0.24  # of a row, from its mean to its seeds


@dataclass(frozen=True)
class TuningCurve:
    """Holds a method's expected test score of the setting that validation selects among 1, 2, ... tried ones."""

    name: str  # of the method
    scores: tuple[float, ...]  # accuracies in % or losses, one for each count of tried settings
    low: tuple[float, ...]  # lower end of the band around each score
    high: tuple[float, ...]  # upper end


@dataclass(frozen=True)
class PerformanceProfile:
    """Holds the share of a method's runs above each normalised score."""

    name: str  # of the method
    scores: NDArray[np.float64]  # in ascending order
    shares: NDArray[np.float64]  # of runs above, between each score and the next [%]


@dataclass(frozen=True)
class MeanRanks:
    """Holds the mean rank of each method over tasks, and the critical difference of two mean ranks."""

    by_name: dict[str, float]  # from the name of a method to its mean rank, 1 for the best
    critical_difference: float  # two mean ranks that are further apart differ significantly
    tasks: int  # count of tasks


@dataclass(frozen=True)
class ScoredRow:
    """Describes one method: its scores as accuracies in % or as losses."""

    name: str
    link: str
    mean: Estimate
    seeds: tuple[float, ...]  # scores of finished runs
    failed: tuple[float, ...] = ()  # scores of failed runs, as by guessing


def score_charts(rows: Sequence[ScoredRow], *, is_loss: bool, guess: float, caption: str) -> Charts:
    """Build the chart of all seeds and, above them, of means with their intervals, the best method on top.

    Accuracies are spaced by the logarithm of their errors, so that good methods are distinguishable.
    """
    by_place = [*enumerate(rows[:MAX_ROWS])]
    seeds = tuple(ChartPoint(score, index + SEED_BELOW) for index, row in by_place for score in row.seeds)
    failed = tuple(ChartPoint(score, index + SEED_BELOW) for index, row in by_place for score in row.failed)
    unit = "" if is_loss else " %"
    means = tuple(
        ChartPoint(
            row.mean.value,
            index - SEED_BELOW / 2,
            f"{row.name}: {value_text(row.mean.value, ends_of(row.mean), unit)}",
            row.link,
            x_ends=ends_of(row.mean),
        )
        for index, row in by_place
    )
    values = [point.x for point in (*seeds, *failed, *means)]
    low, high = min(values), max(values)
    series = (
        Series("each seed", seeds, tone="soft"),
        Series("failed seed, counted as guessing", failed, tone="bad", marker="x"),
        Series("mean with its 95 % interval", means),
    )
    is_log = is_loss and low > 0 and high > LOG_FROM_RATIO * low
    title = "test loss, less is better" if is_loss else "test accuracy, %"
    x_axis = ChartAxis(title, is_log, is_error=not is_loss, ends=(low, high))
    names = ChartAxis(names=tuple(row.name for _, row in by_place))
    lines: tuple[float, ...] = ()
    if low < guess < high:
        lines = (guess,)
        caption = f"{caption} The dashed line is the score without learning."
    return Charts(caption, (Chart("Scores", x_axis, names, series, x_lines=lines),))


def tuning_charts(curves: Sequence[TuningCurve], *, axis: str, caption: str) -> Charts:
    """Build the chart of expected test scores against the number of settings tried.

    `curves`: the best method first; at most `MAX_LINES` are drawn. `axis`: label of the axis of scores.
    """
    drawn = curves[:MAX_LINES]
    series = tuple(_tuning_series(curve, has_band=index < MOST_BANDS) for index, curve in enumerate(drawn))
    most = max((len(curve.scores) for curve in drawn), default=1)
    ticks = tuple(range(1, most + 1, math.ceil(most / MOST_TICKS)))
    chart = Chart("Settings", ChartAxis("settings tried, of those here", ticks=ticks), ChartAxis(axis), series)
    return Charts(caption, (chart,))


def tuning_figure(curves: Sequence[TuningCurve], *, what: str) -> Figure:
    """Draw `tuning_charts` as a figure; `what`: the score's name. Without a curve it is an `InputError`."""
    if max((len(curve.scores) for curve in curves), default=0) < 2:  # noqa: PLR2004 - one is no curve
        raise InputError(
            "--plot: no method has two settings here, so there is no curve; run more, "
            "e.g. sgbench run -m width_fwhm=0.5,1,2"
        )
    return charts_figure(
        tuning_charts(curves, axis=f"expected {what},\nof the best on validation", caption=""), panel=WIDE
    )


def _tuning_series(curve: TuningCurve, *, has_band: bool) -> Series:
    """Make the line of a curve over 1, 2, ... tried settings, with its intervals as a band or without them."""
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


def across_figure(profiles: Sequence[PerformanceProfile], ranks: MeanRanks | None) -> Figure:
    """Draw `across_charts` as a figure, one below the other."""
    panel = WIDE[0], max(WIDE[1], 0.3 * len(profiles))
    return charts_figure(across_charts(profiles, ranks, caption=""), columns=1, panel=panel)


def _profile_series(profile: PerformanceProfile) -> Series:
    """Make the line of a profile as steps: between two scores the share is that of runs above the lower one.

    Of a long profile, `MOST_STEPS` evenly spread scores are drawn.
    """
    last = len(profile.scores) - 1
    indices = np.unique(np.linspace(0, last, min(last + 1, MOST_STEPS)).round().astype(int))
    samples = [ChartPoint(float(profile.scores[index]), float(profile.shares[index])) for index in indices]
    points = samples[:1]
    for before, after in pairwise(samples):
        corner = ChartPoint(after.x, before.y)
        points += [corner, after]
    return Series(profile.name, tuple(points), is_line=True, is_marked=False)


def _mean_ranks_chart(ranks: MeanRanks) -> Chart:
    """Chart the mean rank of each method, the best first, with whiskers half a critical difference to both sides."""
    ranked = sorted((rank, name) for name, rank in ranks.by_name.items())
    half = ranks.critical_difference / 2
    points = tuple(
        ChartPoint(rank, index, f"{name}: mean rank {rank:.2f}", x_ends=(rank - half, rank + half))
        for index, (rank, name) in enumerate(ranked)
    )
    title = f"Mean rank over {ranks.tasks} tasks (1 the best)"
    names = ChartAxis(names=tuple(name for _, name in ranked))
    axis = ChartAxis("mean rank; where whiskers meet, no significant difference")
    return Chart(title, axis, names, (Series("mean ranks", points),))


LEAST_REACH = 5.0  # least extent of the axis to both sides of 0 [points]
LOOKS = {True: ("significantly different", "bad"), False: ("not significantly different", "")}
"""Maps whether a difference is significant to the name and the tone of its series."""


@dataclass(frozen=True)
class ForestMark:
    """Holds the difference of two methods on one board [percent of the distance from chance to a perfect score]."""

    board: str
    difference: Estimate
    is_decided: bool  # whether the difference is significant
    words: str = ""  # names of the compared methods
    link: str | None = None


@dataclass(frozen=True)
class ForestColumn:
    """Holds one panel with a comparison on each board."""

    title: str
    rows: tuple[ForestMark, ...]


def duels_charts(columns: Sequence[ForestColumn], caption: str) -> Charts:
    """Build forest plots side by side, whose rows are the boards in the order in which they first occur."""
    boards = list(dict.fromkeys(row.board for column in columns for row in column.rows))
    return Charts(caption, tuple(_panel(column, boards) for column in columns))


def _panel(column: ForestColumn, boards: Sequence[str]) -> Chart:
    """Chart one comparison on each board as a forest plot: a difference with its interval in each row."""
    points: dict[bool, list[ChartPoint]] = {True: [], False: []}  # by whether the difference is significant
    for row in column.rows:
        value, low, high = row.difference
        tooltip = f"{row.board}: {row.words} {value_text(value, (low, high))} points".replace("  ", " ")
        point = ChartPoint(value, boards.index(row.board), tooltip, row.link, x_ends=(low, high))
        points[row.is_decided].append(point)
    distances = [abs(end) for row in column.rows for end in row.difference]
    reach = max(LEAST_REACH, 1.05 * max(distances, default=0))
    has_negative = any(row.difference.low < 0 for row in column.rows)
    left = -reach if has_negative else -0.05 * reach
    x_axis = ChartAxis("difference, % of the range from guessing to perfect", ends=(left, reach))
    series = tuple(Series(name, tuple(points[is_decided]), tone=tone) for is_decided, (name, tone) in LOOKS.items())
    return Chart(column.title, x_axis, ChartAxis(names=tuple(boards)), series, x_lines=(0.0,))
