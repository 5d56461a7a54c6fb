"""Dots with intervals, one row for each combination of a sweep's axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sgbench.errors import InputError
from sgbench.plots.board import COLOURS, INK, SOFT
from sgbench.plots.error_axis import LABEL, limits, shrink, stretch, ticks
from sgbench.plots.sweep_labels import short
from sgbench.sweeps.results import Results, Row

MAX_ROWS = 80
ROW_INCHES = 0.36
LETTER_INCHES = 0.105
MIN_TICK_GAP = 0.055  # of the axis


def dots_size(results: Results) -> tuple[float, float]:
    """Width and height [inches]."""
    if len(results.rows) > MAX_ROWS:
        raise InputError(
            f"{len(results.rows)} rows are too many for one picture; give fewer values of an axis, "
            f"e.g. surrogate=atan,triangle"
        )
    letters = max(map(len, _labels(results.rows, results)))
    return 7.5 + LETTER_INCHES * letters, 0.8 + ROW_INCHES * (len(results.rows) + 1)


def draw_dots(figure: Figure, results: Results) -> None:
    """Fill a figure of `dots_size`; the best first where a single axis is swept."""
    axes = figure.subplots()
    rows = list(results.rows)
    if len(results.axes) == 1:
        rows.sort(key=lambda row: math.inf if row.validation is None else -row.validation.mean)
    for position, row in enumerate(rows):
        _draw_row(axes, position, row)
    _name_rows(axes, _labels(rows, results))
    _scale(axes, rows)
    chances = {row.chance for row in rows}
    if len(chances) == 1 and axes.get_xlim()[0] <= 100 * min(chances):
        axes.axvline(100 * min(chances), color=SOFT, linestyle="--", linewidth=1.2, label="chance", zorder=1)
    mean: Any = {"color": COLOURS[0], "linewidth": 2.5, "ms": 9}
    axes.plot([], [], "o-", label="mean, 95 % interval", **mean)
    axes.scatter([], [], s=34, color=SOFT, label="one seed")
    if results.count("failed"):
        axes.scatter([], [], s=60, color=COLOURS[1], marker="x", label="failed seed")
    # In the line of the head, which has no dots.
    place: Any = {"frameon": False, "loc": "upper right", "ncols": 4, "fontsize": 12, "borderaxespad": 0.2}
    axes.legend(**place)


def _draw_row(axes: Axes, position: int, row: Row) -> None:
    if position % 2 == 0:
        axes.axhspan(position - 0.5, position + 0.5, color="#f4f4f4", linewidth=0, zorder=0)
    if row.validation is None:
        place = axes.get_yaxis_transform()
        style: Any = {
            "ha": "center",
            "va": "center",
            "fontsize": 12,
            "color": SOFT,
            "backgroundcolor": "white",
        }
        axes.text(0.5, position, "no run yet", transform=place, **style)
        return
    seeds = [100 * row.by_seed[seed] for seed in row.done]
    failed = [100 * row.by_seed[seed] for seed in row.failed]
    axes.scatter(seeds, [position + 0.2] * len(seeds), s=30, color=SOFT, alpha=0.6, linewidths=0, zorder=3)
    axes.scatter(failed, [position + 0.2] * len(failed), s=50, color=COLOURS[1], marker="x", zorder=4)
    ends = [100 * end for end in (row.validation.low, row.validation.high) if end is not None]
    axes.plot(ends, [position - 0.12] * len(ends), color=COLOURS[0], linewidth=2.5, zorder=4)
    axes.plot([100 * row.validation.mean], [position - 0.12], "o", color=COLOURS[0], ms=8, zorder=5)


def _labels(rows: Sequence[Row], results: Results) -> list[str]:
    """A head that names the axes, and the rows' settings below it in columns of equal width."""
    keys = [axis.key for axis in results.axes]
    cells = [[short(key) for key in keys] or ["surrogate"]]
    for row in rows:
        cells.append([row.settings[key] for key in keys] or [row.surrogate])
        cells[-1][-1] += "*" if row.missing and row.by_seed else ""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(f"{cell:<{wide}}" for cell, wide in zip(line, widths, strict=True)) for line in cells]


def _name_rows(axes: Axes, texts: Sequence[str]) -> None:
    axes.set_yticks(range(-1, len(texts) - 1), texts)
    axes.set_ylim(len(texts) - 1.4, -1.5)
    for position, label in enumerate(axes.get_yticklabels()):
        label.set(family="monospace", fontsize=12, color=SOFT if position == 0 else INK, parse_math=False)
    axes.tick_params(axis="y", length=0)


def _scale(axes: Axes, rows: Sequence[Row]) -> None:
    axes.set_xscale("function", functions=(stretch, shrink))
    low, high = limits((value for row in rows for value in row.by_seed.values()), rows)
    axes.set_xlim(low, high)
    kept = ticks(low, high, MIN_TICK_GAP)
    axes.set_xticks(kept, [f"{tick:g}" for tick in kept])
    axes.minorticks_off()
    axes.set_xlabel(LABEL, fontsize=14, color=INK)
    axes.tick_params(axis="x", labelsize=13, colors=INK)
    axes.grid(axis="x", color="#dddddd", linewidth=0.8, zorder=1)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
