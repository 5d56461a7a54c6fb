"""Dots with intervals, one row for each combination of a sweep's axes."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sgbench.plots.error_axis import ErrorAxis
from sgbench.plots.style import BAND, BLUE, GRID, INK, SOFT, VERMILION
from sgbench.plots.sweep_numbers import SweepPicture, SweepRow, require_few
from sgbench.tables import aligned

MAX_ROWS = 80
ROW_INCHES = 0.36
LETTER_INCHES = 0.105
MIN_TICK_GAP = 0.055  # of the axis


def dots_size(picture: SweepPicture) -> tuple[float, float]:
    """Compute width and height of the panel of dots [inches]."""
    require_few(len(picture.rows), MAX_ROWS, "rows")
    letters = max(map(len, _labels(picture.rows, picture)))
    return 7.5 + LETTER_INCHES * letters, 0.8 + ROW_INCHES * (len(picture.rows) + 1)


def draw_dots(figure: Figure, picture: SweepPicture) -> None:
    """Draw dots into a figure of `dots_size`; with a single swept axis, the best first."""
    axes = figure.subplots()
    rows = list(picture.rows)
    if len(picture.axes) == 1:
        sign = 1 if picture.is_loss else -1
        rows.sort(key=lambda row: math.inf if row.mean is None else sign * row.mean.value)
    axis = picture.axis
    _scale(axes, axis, rows)
    axes.set_xlabel(f"{picture.what} {axis.scale_note}", fontsize=14, color=INK)
    for position, row in enumerate(rows):
        _draw_row(axes, axis, position, row)
    _name_rows(axes, _labels(rows, picture))
    chances = {row.chance for row in rows}
    if len(chances) == 1 and axes.get_xlim()[0] <= min(chances):
        axes.axvline(min(chances), color=SOFT, linestyle="--", linewidth=1.2, label="chance", zorder=1)
    mean: Any = {"color": BLUE, "linewidth": 2.5, "ms": 9}
    axes.plot([], [], "o-", label="mean, 95 % interval", **mean)
    axes.scatter([], [], s=34, color=SOFT, label="one seed")
    if picture.failed:
        axes.scatter([], [], s=60, color=VERMILION, marker="x", label="failed seed")
    # In the line of the head, which has no dots.
    style: Any = {"frameon": False, "loc": "upper right", "ncols": 4, "fontsize": 12, "borderaxespad": 0.2}
    axes.legend(**style)


def _draw_row(axes: Axes, axis: ErrorAxis, position: int, row: SweepRow) -> None:
    if position % 2 == 0:
        axes.axhspan(position - 0.5, position + 0.5, color=BAND, linewidth=0, zorder=0)
    if row.mean is None:
        style: Any = {"ha": "center", "va": "center", "color": SOFT, "backgroundcolor": "white"}
        transform = axes.get_yaxis_transform()
        axes.text(0.5, position, "no run yet", transform=transform, fontsize=12, **style)
        return
    below, above = position + 0.2, position - 0.12
    seeds, failed = axis.shown(row.seeds), axis.shown(row.failed)
    mean, low, high = map(axis.shown, row.mean)
    axes.scatter(seeds, [below] * len(seeds), s=30, color=SOFT, alpha=0.6, linewidths=0, zorder=3)
    axes.scatter(failed, [below] * len(failed), s=50, color=VERMILION, marker="x", zorder=4)
    axes.plot([low, high], [above] * 2, color=BLUE, linewidth=2.5, zorder=4)
    axes.plot([mean], [above], "o", color=BLUE, ms=8, zorder=5)


def _labels(rows: Sequence[SweepRow], picture: SweepPicture) -> list[str]:
    cells = [[axis.short for axis in picture.axes] or ["surrogate"]]
    for row in rows:
        cells.append([row.settings[axis.key] for axis in picture.axes] or [row.surrogate])
        cells[-1][-1] += "*" if row.is_short else ""
    lines = aligned(cells, text_columns=len(cells[0]))
    return [line.ljust(max(map(len, lines))) for line in lines]


def _name_rows(axes: Axes, texts: Sequence[str]) -> None:
    axes.set_yticks(range(-1, len(texts) - 1), texts)
    axes.set_ylim(len(texts) - 1.4, -1.5)
    for position, label in enumerate(axes.get_yticklabels()):
        label.set(family="monospace", fontsize=12, color=SOFT if position == 0 else INK, parse_math=False)
    axes.tick_params(axis="y", length=0)


def _scale(axes: Axes, axis: ErrorAxis, rows: Sequence[SweepRow]) -> None:
    """Set up the axis of scores so that it holds all seeds and intervals that are not far beyond them."""
    scores = [score for row in rows for score in (*row.seeds, *row.failed)]
    ends = axis.limits(scores, (end for row in rows for end in row.mean or ()))
    axis.frame(axes, "x", ends, gap=MIN_TICK_GAP)
    axes.tick_params(axis="x", labelsize=13, colors=INK)
    axes.grid(axis="x", color=GRID, linewidth=0.8, zorder=1)
    axes.spines["left"].set_visible(False)
