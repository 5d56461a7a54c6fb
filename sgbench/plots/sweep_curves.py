"""Draw accuracy over width or slope, one curve with its interval for each combination of the other axes."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from sgbench.plots.error_axis import ErrorAxis
from sgbench.plots.estimate import Estimate
from sgbench.plots.style import COLOURS, GRID, INK, SOFT, look_of
from sgbench.plots.sweep_numbers import SweepPicture, SweepRow, SweptAxis, curves_of, other_axes, require_few

MAX_CURVES = 18
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)))
FEW_TICKS = 10
SPREAD = 0.25  # of the way from a setting to the next, logarithmically, for the marks of all curves
MIN_TICK_GAP = 0.055  # of the height
NO_RUN = Estimate(math.nan, math.nan, math.nan)


def curves_size(picture: SweepPicture, across: SweptAxis) -> tuple[float, float]:
    """Compute width and height of the panel of curves over the axis `across` [inches]."""
    return 10.5, max(5.2, 1.5 + 0.3 * len(_curves(picture, across)))


def draw_curves(figure: Figure, picture: SweepPicture, across: SweptAxis) -> None:
    """Draw scores over the setting `across`, one curve for each combination of the other settings."""
    axes, axis = figure.subplots(), picture.axis
    curves = _curves(picture, across)
    _frame(axes, axis, curves, across)
    axes.set_ylabel(f"{picture.what}\n{axis.scale_note}", fontsize=14, color=INK)
    # Curves are moved apart a little, by a share of the least ratio of neighbouring settings, so that intervals show.
    least_ratio = min((high / low for low, high in pairwise(sorted(across.numbers))), default=1.0)
    for position, (name, rows) in enumerate(curves.items()):
        by_number = {float(row.settings[across.key]): row for row in rows}
        style = look_of(name, position) | {"linestyle": DASHES[position // len(COLOURS)]}
        aside = least_ratio ** (SPREAD * ((position + 0.5) / len(curves) - 0.5))
        _draw_curve(axes, axis, name, dict(sorted(by_number.items())), style, aside)
    chances = {row.chance for row in picture.rows}
    if len(chances) == 1 and axes.get_ylim()[0] <= min(chances):
        axes.axhline(min(chances), color=SOFT, linestyle="--", linewidth=1.2, label="chance", zorder=1)
    title = ", ".join(axis.short for axis in other_axes(picture, (across,))) or "surrogate"
    beside: Any = {"frameon": False, "loc": "outside right center", "fontsize": 13, "title_fontsize": 13}
    figure.legend(*axes.get_legend_handles_labels(), title=title, **beside)


def _curves(picture: SweepPicture, across: SweptAxis) -> dict[str, list[SweepRow]]:
    """Map the name of each curve to its rows; raise an InputError if they are too many to distinguish."""
    require_few(len(curves := curves_of(picture, (across,))), MAX_CURVES, "curves")
    return curves


def _draw_curve(
    axes: Axes, axis: ErrorAxis, name: str, rows: Mapping[float, SweepRow], style: dict[str, Any], aside: float
) -> None:
    """Draw means with whiskers, with a gap at settings without a run and a star where seeds lack.

    All are `aside` times as far right as their numbers, so that whiskers of several curves stand side by side.
    """
    numbers = [number * aside for number in rows]
    means, lows, highs = axis.shown([row.mean or NO_RUN for row in rows.values()]).T
    for number, mean, row in zip(numbers, means, rows.values(), strict=True):
        if row.is_short:
            axes.annotate("*", (number, mean), (5, 3), textcoords="offset points", color=INK)
    axes.vlines(numbers, lows, highs, color=style["color"], alpha=0.6, linewidth=1.6, zorder=2)
    axes.plot(numbers, means, label=name, linewidth=2.2, markersize=7, zorder=3, **style)


def _frame(axes: Axes, axis: ErrorAxis, curves: Mapping[str, Sequence[SweepRow]], across: SweptAxis) -> None:
    """Scale the axes: scores upward as `axis` says, values of the setting across by their logarithm."""
    drawn = [(row, row.mean) for rows in curves.values() for row in rows if row.mean is not None]
    scores = (score for row, mean in drawn for score in (mean.value, *row.seeds, *row.failed))
    ends = axis.limits(scores, (end for _, mean in drawn for end in mean))
    axis.frame(axes, "y", ends, gap=MIN_TICK_GAP)
    axes.set_xscale("log")
    if len(across.values) <= FEW_TICKS:
        axes.xaxis.set_major_locator(FixedLocator(across.numbers))
        axes.set_xticks(across.numbers, across.values)
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(across.label, fontsize=14, color=INK)
    axes.tick_params(labelsize=13, colors=INK)
    axes.grid(color=GRID, linewidth=0.8, zorder=0)
