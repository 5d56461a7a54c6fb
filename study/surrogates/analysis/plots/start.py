"""Does a network's start tell how its training ends: accuracy against what was measured before, a panel a task."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from sgbench.plots.style import BAND, GRID, INK, SOFT, look_of

COLUMNS = 4
PANEL = (3.15, 3.1)  # inches
TITLE = 27  # characters of a line
TICKS = 5
BETWEEN = 0.11  # inches on each side of a panel
LEAST = 1e-12  # gradients up to this one teach nothing; they stand in the strip for 0
SHARE = 0.13  # of a panel's width, of the strip for 0 and that for what is not finite


@dataclass(frozen=True)
class StartPoint:
    """Describes one shape and width: what was measured at the start (None: not finite) and its mean score."""

    shape: str
    start: float | None
    score: float


@dataclass(frozen=True)
class StartPanel:
    """Describes one task: its cells, what guessing gives, and a line about how strongly the two go together."""

    title: str
    note: str
    guess: float
    points: tuple[StartPoint, ...]


def start_figure(panels: Sequence[StartPanel], *, label: str) -> Figure:
    """Draw a panel a task: score against a number before training on a log scale, a mark a shape and width.

    What is 0, or next to it, stands in a grey strip to the left, what is not finite in one to the right.
    """
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    size = (columns * PANEL[0] + 0.6, rows * PANEL[1] + 1.0)
    figure = Figure(figsize=size)
    figure.set_layout_engine("constrained", w_pad=BETWEEN)  # outer tick labels of neighbours do not touch
    grid: Any = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for position, axes in enumerate(grid.flat):
        if position < len(panels):
            _panel(axes, panels[position])
        else:
            axes.set_axis_off()
    figure.supxlabel(label, fontsize=13, color=INK)
    figure.supylabel("test accuracy after training, %", fontsize=13, color=INK)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    place: Any = {"loc": "outside upper center", "ncols": 6, "frameon": False, "fontsize": 12.5}
    figure.legend(handles, labels, **place)
    return figure


def _panel(axes: Axes, panel: StartPanel) -> None:
    """Draw one task on a log scale; starts of 0 go into a strip at its left, those not finite into one at its right."""
    finite = [point.start for point in panel.points if point.start and point.start > LEAST]
    low, high = (min(finite), max(finite)) if finite else (0.1, 1.0)
    width = math.log(high / low) or 1.0
    left, right = low / math.exp(SHARE * width), high * math.exp(SHARE * width)
    for index, shape in enumerate(dict.fromkeys(point.shape for point in panel.points)):
        of_shape = [point for point in panel.points if point.shape == shape]
        starts = [right if point.start is None else (max(point.start, left)) for point in of_shape]
        look: Any = look_of(shape, index)
        axes.plot(
            *(starts, [point.score for point in of_shape]),
            linestyle="none",
            markersize=6,
            alpha=0.85,
            label=shape,
            zorder=3,
            **look,
        )
    axes.set_xscale("log")
    edges = (left / math.exp(SHARE * width / 2), right * math.exp(SHARE * width / 2))
    axes.set_xlim(*edges)
    has_none = any(point.start is not None and point.start <= LEAST for point in panel.points)
    _strip(axes, edges[0], left * math.exp(SHARE * width / 2), "0", has_none)
    _strip(axes, right / math.exp(SHARE * width / 2), edges[1], "∞", any(point.start is None for point in panel.points))
    axes.axhline(panel.guess, color=SOFT, linestyle="--", linewidth=1.2, zorder=1)
    axes.set_ylim(-3, 103)
    title = textwrap.fill(panel.title, TITLE)
    axes.set_title(f"{title}\n{panel.note}", fontsize=11.5, color=INK, parse_math=False)
    axes.xaxis.set_major_locator(LogLocator(numticks=TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(labelsize=11, colors=INK)
    axes.grid(color=GRID, linewidth=0.8, zorder=0)


def _strip(axes: Axes, low: float, high: float, text: str, is_used: bool) -> None:
    """Mark the part of an axis on which numbers stand that a log scale does not have."""
    if is_used:
        axes.axvspan(low, high, color=BAND, zorder=0)
        middle = math.sqrt(low * high)
        place: Any = {"ha": "center", "va": "bottom", "fontsize": 11, "color": INK}
        axes.text(middle, 0.02, text, transform=axes.get_xaxis_transform(), **place)
