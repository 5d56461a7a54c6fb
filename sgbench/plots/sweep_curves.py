"""Accuracy against width or slope, one curve with its interval for each of everything else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from sgbench.errors import InputError
from sgbench.plots.board import COLOURS, INK, MARKERS, SOFT
from sgbench.plots.error_axis import LABEL, limits, shrink, stretch, ticks
from sgbench.plots.sweep_labels import axis_label, curves_of, other_keys, short
from sgbench.sweeps.points import Axis
from sgbench.sweeps.results import Results, Row

MAX_CURVES = 18
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)))
FEW_TICKS = 10
MIN_TICK_GAP = 0.055  # of the height


def curves_size(results: Results, across: Axis) -> tuple[float, float]:
    """Width and height [inches]."""
    return 10.5, max(5.2, 1.5 + 0.3 * len(_curves(results, across)))


def draw_curves(figure: Figure, results: Results, across: Axis) -> None:
    """Fill a figure of `curves_size`.

    Raises:
        InputError: more than eighteen curves.
    """
    axes = figure.subplots()
    curves = _curves(results, across)
    for position, (name, rows) in enumerate(curves.items()):
        _curve(axes, name, rows, across, _look(position))
    _frame(axes, curves, across)
    chances = {row.chance for row in results.rows}
    if len(chances) == 1 and axes.get_ylim()[0] <= 100 * min(chances):
        axes.axhline(100 * min(chances), color=SOFT, linestyle="--", linewidth=1.2, label="chance", zorder=1)
    keys = [short(key) for key in other_keys(results, (across.key,))]
    place: Any = {"frameon": False, "loc": "outside right center", "fontsize": 13, "title_fontsize": 13}
    figure.legend(*axes.get_legend_handles_labels(), title=", ".join(keys) or "surrogate", **place)


def _curves(results: Results, across: Axis) -> dict[str, list[Row]]:
    curves = curves_of(results, (across.key,))
    if len(curves) > MAX_CURVES:
        raise InputError(
            f"{len(curves)} curves are too many for one picture; give fewer values of another axis, "
            f"e.g. surrogate=atan,triangle"
        )
    return curves


def _look(position: int) -> dict[str, Any]:
    """A colour and a marker, and other dashes for each round through the colours."""
    return {
        "color": COLOURS[position % len(COLOURS)],
        "marker": MARKERS[position % len(MARKERS)],
        "linestyle": DASHES[position // len(COLOURS)],
    }


def _curve(axes: Axes, name: str, rows: Sequence[Row], across: Axis, look: dict[str, Any]) -> None:
    """Mean and band; where a setting has no run, the line breaks."""
    ordered = sorted(rows, key=lambda row: float(row.settings[across.key]))
    places = [float(row.settings[across.key]) for row in ordered]
    means, lows, highs = [], [], []
    for row in ordered:
        summary = row.validation
        mean = math.nan if summary is None else 100 * summary.mean
        half = 0.0 if summary is None or summary.half_width is None else 100 * summary.half_width
        means.append(mean)
        lows.append(max(mean - half, 0.0))
        highs.append(min(mean + half, 100.0))
        if row.missing and row.by_seed:
            axes.annotate("*", (places[len(means) - 1], mean), (5, 3), textcoords="offset points", color=INK)
    axes.fill_between(places, lows, highs, color=look["color"], alpha=0.13, linewidth=0, zorder=2)
    for ends in (lows, highs):
        axes.plot(places, ends, color=look["color"], alpha=0.35, linewidth=0.8, zorder=2)
    axes.plot(places, means, label=name, linewidth=2.2, markersize=7, zorder=3, **look)


def _frame(axes: Axes, curves: Mapping[str, Sequence[Row]], across: Axis) -> None:
    every = [row for rows in curves.values() for row in rows if row.validation]
    axes.set_yscale("function", functions=(stretch, shrink))
    low, high = limits((row.validation.mean for row in every if row.validation), every)
    axes.set_ylim(low, high)
    kept = ticks(low, high, MIN_TICK_GAP)
    axes.set_yticks(kept, [f"{tick:g}" for tick in kept])
    axes.minorticks_off()
    axes.set_xscale("log")
    if len(across.values) <= FEW_TICKS:
        numbers = across.numbers or ()
        axes.xaxis.set_major_locator(FixedLocator(numbers))
        axes.set_xticks(numbers, across.values)
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(axis_label(across.key), fontsize=14, color=INK)
    axes.set_ylabel(LABEL.replace(" (", "\n("), fontsize=14, color=INK)
    axes.tick_params(labelsize=13, colors=INK)
    axes.grid(color="#dddddd", linewidth=0.8, zorder=0)
