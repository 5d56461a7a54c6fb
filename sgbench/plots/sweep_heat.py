"""Draw heat maps of a sweep: learning rate over width, one panel for each combination of the other axes."""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from sgbench.plots.style import BAND, INK, SOFT, VERMILION
from sgbench.plots.sweep_numbers import FAILED, LOSS, SweepPicture, SweepRow, SweptAxis, curves_of, require_few

MAX_PANELS = 16
MAX_COLUMNS = 3
SQUARE = 4  # panels that are arranged in two rows of two
FEW = 9  # most cells along a side for annotations
CELL = (0.66, 0.5)  # size of an annotated cell [inches]
SMALL = 0.3  # size of another cell [inches]
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
    panels = _panels(picture, across, rate)
    columns, rows = _layout(len(panels))
    grid: Any = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    means = [row.mean.value for row in picture.rows if row.mean]
    scale = Normalize(min(means), max(means) if max(means) > min(means) else min(means) + 1)
    image = None
    for axes, (name, rows_of_panel) in zip(grid.flat, panels.items(), strict=False):
        image = _panel(axes, rows_of_panel, across, rate, scale, is_loss=picture.what == LOSS)
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


def _panel(
    axes: Axes, rows: Sequence[SweepRow], across: SweptAxis, rate: SweptAxis, scale: Normalize, *, is_loss: bool
) -> AxesImage:
    """Draw the heat map of some rows, with hatched cells where there is no run; return its image."""
    widths, rates = _order(across), _order(rate)
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
        frame: Any = {"fill": False, "edgecolor": VERMILION, "linewidth": 3, "zorder": 3}
        axes.add_patch(Rectangle((float(column) - 0.46, float(line) - 0.46), 0.92, 0.92, **frame))


def _order(axis: SweptAxis) -> list[str]:
    """List the values of an axis as texts, from small to large."""
    return [value for _, value in sorted(zip(axis.numbers, axis.values, strict=True))]


def _annotate(axes: Axes, cells: dict[tuple[int, int], SweepRow], scale: Normalize, *, is_loss: bool) -> None:
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
