"""The panels of a sweep: curves over width or slope, heat maps of learning rate over width, and scores over spikes."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator

from sgbench.errors import InputError
from sgbench.plots.chart import Estimate
from sgbench.plots.error_axis import ErrorAxis
from sgbench.plots.style import BAND, COLOURS, GRID, INK, MARKERS, SOFT, VERMILION, look_of
from sgbench.plots.sweep_numbers import (
    FAILED,
    LOSS,
    SweepPicture,
    SweepRow,
    SweptAxis,
    curves_of,
    other_axes,
    require_few,
)

MAX_CURVES, FEW_TICKS = 18, 10
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)))
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
        shift = least_ratio ** (SPREAD * ((position + 0.5) / len(curves) - 0.5))
        _draw_curve(axes, axis, name, dict(sorted(by_number.items())), style, shift)
    chances = {row.chance for row in picture.rows}
    if len(chances) == 1 and axes.get_ylim()[0] <= min(chances):
        axes.axhline(min(chances), color=SOFT, linestyle="--", linewidth=1.2, label="chance", zorder=1)
    title = ", ".join(axis.short for axis in other_axes(picture, (across,))) or "surrogate"
    handles, names = axes.get_legend_handles_labels()
    figure.legend(
        handles, names, title=title, frameon=False, loc="outside right center", fontsize=13, title_fontsize=13
    )


def _curves(picture: SweepPicture, across: SweptAxis) -> dict[str, list[SweepRow]]:
    """Map the name of each curve to its rows; raise an InputError if they are too many to distinguish."""
    curves = curves_of(picture, (across,))
    require_few(len(curves), MAX_CURVES, "curves")
    return curves


def _draw_curve(
    axes: Axes, axis: ErrorAxis, name: str, rows: Mapping[float, SweepRow], style: dict[str, Any], shift: float
) -> None:
    """Draw means with whiskers, with a gap at settings without a run and a star where seeds are missing.

    `rows`: maps each value of the setting to its row, in ascending order. `shift`: factor on these values, near 1, so
    that whiskers of several curves stand side by side.
    """
    numbers = [number * shift for number in rows]
    means, lows, highs = axis.clip([row.mean or NO_RUN for row in rows.values()]).T
    for number, mean, row in zip(numbers, means, rows.values(), strict=True):
        if row.is_short:
            axes.annotate("*", (number, mean), (5, 3), textcoords="offset points", color=INK)
    axes.vlines(numbers, lows, highs, color=style["color"], alpha=0.6, linewidth=1.6, zorder=2)
    axes.plot(numbers, means, label=name, linewidth=2.2, markersize=7, zorder=3, **style)


def _frame(axes: Axes, axis: ErrorAxis, curves: Mapping[str, Sequence[SweepRow]], across: SweptAxis) -> None:
    """Scale the axes: the vertical one of scores as `axis` says, the horizontal one of the setting logarithmically."""
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


MAX_PANELS, MAX_COLUMNS = 16, 3
SQUARE = 4  # panels that are arranged in two rows of two
FEW = 9  # most cells along a side for annotations
CELL, SMALL = (0.66, 0.5), 0.3  # sizes of annotated and of other cells [inches]
DARK = 0.18  # luminance below which white text is more legible than black
LIGHTNESS = "viridis"  # even steps of lightness, for any colour vision
LACKING: Any = {"facecolor": BAND, "edgecolor": SOFT, "hatch": "////", "linewidth": 0}


def heat_size(picture: SweepPicture, across: SweptAxis, rate: SweptAxis) -> tuple[float, float]:
    """Compute width and height of all heat maps together [inches]."""
    columns, rows = _layout(len(_panels(picture, across, rate)))
    cell_width, cell_height = CELL if _has_numbers(across, rate) else (SMALL, SMALL)
    width = 1.9 + columns * max(2.9, cell_width * len(across.values) + 0.3)
    return width, 0.7 + rows * (max(1.5, cell_height * len(rate.values)) + 0.55)


def draw_heat(figure: Figure, picture: SweepPicture, across: SweptAxis, rate: SweptAxis) -> None:
    """Draw heat maps on one colour scale, a panel for each combination of the settings that are neither axis."""
    panels = _panels(picture, across, rate)
    columns, rows = _layout(len(panels))
    grid: Any = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    means = [row.mean.value for row in picture.rows if row.mean]
    scale = Normalize(min(means), max(means) if max(means) > min(means) else min(means) + 1)
    image = None
    for axes, (name, rows_of_panel) in zip(grid.flat, panels.items(), strict=False):
        image = _draw_panel(axes, rows_of_panel, across, rate, scale, is_loss=picture.what == LOSS)
        if picture.what != FAILED:
            _frame_best(axes, image, is_loss=picture.is_loss)
        axes.set_title(name, fontsize=14, color=INK, parse_math=False)
    for position, axes in enumerate(grid.flat):
        if position >= len(panels):
            axes.set_axis_off()
        elif position + columns >= len(panels):
            axes.tick_params(labelbottom=True)
            axes.set_xlabel(across.label.replace(", ", ",\n"), fontsize=13, color=INK)
        if position % columns == 0:
            axes.set_ylabel(rate.label, fontsize=14, color=INK)
    if image is not None:
        bar = figure.colorbar(image, ax=grid, pad=0.02, aspect=28)
        bar.set_label(picture.what, fontsize=14, color=INK)


def _panels(picture: SweepPicture, across: SweptAxis, rate: SweptAxis) -> dict[str, list[SweepRow]]:
    """Map the title of each panel to its rows; raise an InputError if they are too many."""
    panels = curves_of(picture, (across, rate))
    require_few(len(panels), MAX_PANELS, "heat maps")
    return panels


def _layout(panels: int) -> tuple[int, int]:
    columns = 2 if panels == SQUARE else min(panels, MAX_COLUMNS)
    return columns, math.ceil(panels / columns)


def _has_numbers(across: SweptAxis, rate: SweptAxis) -> bool:
    return max(len(across.values), len(rate.values)) <= FEW


def _draw_panel(
    axes: Axes, rows: Sequence[SweepRow], across: SweptAxis, rate: SweptAxis, scale: Normalize, *, is_loss: bool
) -> AxesImage:
    """Draw the heat map of some rows, with hatched cells where there is no run; return its image.

    Learning rates rise upward and settings `across` to the right. `is_loss` sets the format of the numbers in cells.
    """
    widths, rates = _ascending_values(across), _ascending_values(rate)
    cells = {(rates.index(row.settings[rate.key]), widths.index(row.settings[across.key])): row for row in rows}
    values = np.full((len(rates), len(widths)), math.nan)
    for cell, row in cells.items():
        if row.mean is not None:
            values[cell] = row.mean.value
    image = axes.imshow(values, cmap=LIGHTNESS, norm=scale, origin="lower", aspect="auto")
    for line, column in zip(*np.nonzero(np.isnan(values)), strict=True):
        axes.add_patch(Rectangle((column - 0.5, line - 0.5), 1, 1, **LACKING))
    if _has_numbers(across, rate):
        _annotate(axes, cells, scale, is_loss=is_loss)
    axes.set_xticks(range(len(widths)), widths)
    axes.set_yticks(range(len(rates)), rates)
    axes.tick_params(length=0, labelsize=13, colors=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return image


def _frame_best(axes: Axes, image: AxesImage, *, is_loss: bool) -> None:
    """Draw a frame around the best mean of a panel."""
    values = np.ma.filled(np.ma.asarray(image.get_array()), math.nan)
    if not np.isnan(values).all():
        best = np.nanargmin(values) if is_loss else np.nanargmax(values)
        line, column = np.unravel_index(best, values.shape)
        corner = (float(column) - 0.46, float(line) - 0.46)
        axes.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, edgecolor=VERMILION, linewidth=3, zorder=3))


def _ascending_values(axis: SweptAxis) -> list[str]:
    """List the values of an axis as texts, from the least number to the largest."""
    return [value for _, value in sorted(zip(axis.numbers, axis.values, strict=True))]


def _annotate(axes: Axes, cells: dict[tuple[int, int], SweepRow], scale: Normalize, *, is_loss: bool) -> None:
    """Write the mean into each cell, in black or white, whichever is more legible on its colour."""
    for (line, column), row in cells.items():
        if row.mean is None:
            continue
        score = row.mean.value
        number = f"{score:.2g}" if is_loss else f"{score:.1f}"
        text = f"{number}{'*' if row.is_short else ''}"
        red, green, blue = (channel**2.2 for channel in mpl.colormaps[LIGHTNESS](scale(score))[:3])
        luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue  # of sRGB as in WCAG 2, by its power law alone
        colour = "white" if luminance < DARK else "black"
        axes.text(column, line, text, ha="center", va="center", fontsize=12.5, color=colour, zorder=4)


LOG_FROM_RATIO = 4.0  # so that at least two numbers stand at the axis


def spikes_figure(picture: SweepPicture) -> Figure:
    """Draw scores over spikes, so that better and sparser settings are at the upper left."""
    kinds = _kinds(picture)
    figure = Figure(figsize=(10.5, 5.6), layout="constrained")
    axes, axis = figure.subplots(), picture.axis
    means = [row.mean for rows in kinds.values() for row in rows if row.mean is not None]
    ends = axis.limits((mean.value for mean in means), (end for mean in means for end in mean))
    axis.frame(axes, "y", ends, gap=MIN_TICK_GAP)
    for position, (name, rows) in enumerate(kinds.items()):
        scores, lows, highs = axis.clip([row.mean for row in rows]).T
        colour, marker = COLOURS[position % len(COLOURS)], MARKERS[position % len(MARKERS)]
        spikes = [row.spikes or 0.0 for row in rows]
        axes.vlines(spikes, lows, highs, color=colour, alpha=0.4, linewidth=1.5, zorder=2)
        axes.scatter(spikes, scores, s=60, label=name, zorder=3, color=colour, marker=marker)
    _scale(axes, [row.spikes or 0.0 for rows in kinds.values() for row in rows])
    axes.set_xlabel("spikes per inference, all layers", fontsize=14, color=INK)
    axes.set_ylabel(f"{picture.what}\n{axis.scale_note}", fontsize=14, color=INK)
    axes.set_title(picture.title, fontsize=16, color=INK, loc="left", parse_math=False)
    axes.tick_params(labelsize=13, colors=INK)
    axes.grid(color=GRID, linewidth=0.8, zorder=0)
    figure.legend(frameon=False, loc="outside right center", fontsize=13)
    return figure


def _scale(axes: Axes, spikes: Sequence[float]) -> None:
    """Scale the axis of spikes logarithmically, with plain numbers, if they differ much and none is zero."""
    if min(spikes) > 0 and max(spikes) / min(spikes) > LOG_FROM_RATIO:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())


def _kinds(picture: SweepPicture) -> dict[str, list[SweepRow]]:
    """Group the rows that have a mean and spikes by colour: by their value on the first axis that is no number.

    Without such an axis the surrogate is the key of the group.
    """
    colour_key = next((axis.key for axis in picture.axes if not axis.numbers), None)
    kinds: dict[str, list[SweepRow]] = {}
    for row in picture.rows:
        if row.mean is not None and row.spikes is not None:
            kind = row.surrogate if colour_key is None else row.settings[colour_key]
            kinds.setdefault(kind, []).append(row)
    if not kinds:
        raise InputError("--of spikes: no run has counted spikes; runs of networks with spikes do")
    require_few(len(kinds), MAX_CURVES, "kinds of dots")
    return kinds
