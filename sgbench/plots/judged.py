"""Draw a candidate surrogate and the known ones: each at its own best, and over widths, one row for each task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Estimate, Series, ends_of
from sgbench.plots.figure import draw_chart

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW = (11.5, 3.3)  # inches
CANDIDATE = "candidate"
Widths = tuple[tuple[float, Estimate], ...]
"""Pairs of width [thresholds] and validation accuracy [%], whose interval is from the least to the best seed."""


@dataclass(frozen=True)
class JudgedRow:
    """Describes one task; accuracies are in percent."""

    title: str
    scores: tuple[tuple[str, Estimate], ...]  # name and test accuracy of the candidate, then of each known surrogate
    widths: Widths  # of the candidate; may be empty
    known_widths: Widths  # of the best known surrogate
    known: str  # name of the best known surrogate
    guess: float | None  # accuracy of guessing; None: not known


def judged_figure(rows: Sequence[JudgedRow]) -> Figure:
    """Draw two panels for each task: accuracies with their intervals, and accuracy over width."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(ROW[0], ROW[1] * len(rows)), layout="constrained")
    for row, (left, right) in zip(rows, figure.subplots(len(rows), 2, squeeze=False), strict=True):
        draw_chart(left, _scores(row), {})
        left.set_title(row.title, loc="left")
        left.set_xlabel("test accuracy, %")
        draw_chart(right, _over_widths(row), {CANDIDATE: 1})
        right.set_xlabel("width at half maximum, thresholds")
        right.set_ylabel("validation accuracy, %,\nleast to best seed")
        right.legend(frameon=False)
    return figure


def _scores(row: JudgedRow) -> Chart:
    """Chart the test accuracies with their intervals, one row for each surrogate, the candidate in its own colour."""
    candidate, known = [], []
    for place, (name, score) in enumerate(row.scores):
        points = candidate if name == CANDIDATE else known
        points.append(ChartPoint(score.value, place, x_ends=ends_of(score)))
    series = (Series("", tuple(candidate), tone="bad"), Series("", tuple(known), tone="good"))
    names = ChartAxis(names=tuple(name for name, _ in row.scores))
    return Chart(row.title, ChartAxis("test accuracy, %"), names, series)


def _over_widths(row: JudgedRow) -> Chart:
    """Chart the validation accuracy over the width, of the candidate and of the best known surrogate."""
    lines = [(row.known, row.known_widths, ""), (CANDIDATE, row.widths, "bad")]
    series = []
    for name, widths, tone in lines:
        points = tuple(ChartPoint(width, score.value, y_ends=ends_of(score)) for width, score in widths)
        series.append(Series(name, points, is_line=True, tone=tone))
    ticks = tuple(sorted({width for width, _ in (*row.known_widths, *row.widths)}))
    across, up = ChartAxis("width", is_log=True, ticks=ticks), ChartAxis("validation accuracy, %", is_error=True)
    guess = () if row.guess is None else (row.guess,)
    return Chart(row.title, across, up, tuple(series), y_lines=guess, lines="guessing")
