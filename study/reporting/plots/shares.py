"""Pictures of shares with intervals: solved runs by shape, and runs that learn by depth."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sgbench.plots.estimate import Estimate
from sgbench.plots.style import GRID, INK, MARKERS
from study.reporting.plots.map import tail_colour

ROW = 0.34  # inches
COLUMNS = 4
PERCENT = 100
TITLE = 26  # characters of a line


@dataclass(frozen=True)
class ShareMark:
    """Describes one shape: a share with its interval; its tail decides the colour."""

    name: str
    tail: float
    share: Estimate


@dataclass(frozen=True)
class SharePanel:
    """Holds the panel of one task: shares of solved runs by shape."""

    title: str
    marks: tuple[ShareMark, ...]


def shares_figure(panels: Sequence[SharePanel], *, label: str) -> Figure:
    """Draw a panel a task, shapes as rows, shares in per cent with their intervals."""
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    most = max(len(panel.marks) for panel in panels)
    figure = Figure(figsize=(1.6 + 2.5 * columns, rows * (most * ROW + 0.95) + 0.4), layout="constrained")
    grid: Any = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for position, axes in enumerate(grid.flat):
        if position >= len(panels):
            axes.set_axis_off()
            continue
        _share_panel(axes, panels[position])
        axes.tick_params(labelbottom=position + columns >= len(panels))
    figure.supxlabel(label, fontsize=13, color=INK)
    return figure


def _share_panel(axes: Axes, panel: SharePanel) -> None:
    heaviest = max(mark.tail for mark in panel.marks)
    for place, mark in enumerate(reversed(panel.marks)):
        colour = tail_colour(mark.tail, heaviest)
        value, low, high = (PERCENT * number for number in mark.share)
        axes.plot([low, high], [place, place], color=colour, linewidth=2.2, zorder=2)
        axes.plot([value], [place], marker="o", markersize=8, color=colour, zorder=3)
    axes.set_yticks(range(len(panel.marks)), [mark.name for mark in reversed(panel.marks)])
    axes.set_xlim(-4, 104)
    axes.set_ylim(-0.6, len(panel.marks) - 0.4)
    axes.set_title(textwrap.fill(panel.title, TITLE), fontsize=12, color=INK, parse_math=False)
    axes.tick_params(length=0, labelsize=12, colors=INK)
    axes.grid(color=GRID, linewidth=0.8, zorder=0)


@dataclass(frozen=True)
class DepthLine:
    """Describes one tail: the share of runs that learn, by depth."""

    name: str
    tail: float
    depths: tuple[int, ...]
    shares: tuple[Estimate, ...]


@dataclass(frozen=True)
class DepthPanel:
    """Holds the panel of one way to start: shares of runs that learn, by depth."""

    title: str
    lines: tuple[DepthLine, ...]


def depth_figure(panels: Sequence[DepthPanel], *, columns: int = COLUMNS) -> Figure:
    """Draw a panel a start and width, a line a tail: the share of runs that learn against the number of layers."""
    columns = min(columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(1.0 + 3.7 * columns, 1.0 + 2.9 * rows), layout="constrained")
    grid: Any = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=True):
        _depth_panel(axes, panel)
    figure.supylabel("runs that learn, %", fontsize=13, color=INK)
    figure.supxlabel("hidden layers", fontsize=13, color=INK)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    place: Any = {"loc": "outside upper center", "ncols": 5, "frameon": False, "fontsize": 12}
    figure.legend(handles, labels, **place)
    return figure


def _depth_panel(axes: Axes, panel: DepthPanel) -> None:
    heaviest = max(line.tail for line in panel.lines)
    for position, line in enumerate(panel.lines):
        colour = tail_colour(line.tail, heaviest)
        # Lines that would lie on each other are set side by side.
        shift = 0.07 * (position - (len(panel.lines) - 1) / 2)
        places = [depth + shift for depth in line.depths]
        values, lows, highs = ([PERCENT * number for number in numbers] for numbers in zip(*line.shares, strict=True))
        look: Any = {"color": colour, "marker": MARKERS[position], "markersize": 7, "linewidth": 2}
        axes.plot(places, values, label=line.name, zorder=3, **look)
        axes.vlines(places, lows, highs, color=colour, linewidth=1.6, alpha=0.7, zorder=2)
    depths = panel.lines[0].depths
    axes.set_xticks(depths, [str(depth) for depth in depths])
    axes.set_ylim(-4, 104)
    axes.set_title(panel.title, fontsize=13, color=INK, parse_math=False)
    axes.tick_params(labelsize=12, colors=INK)
    axes.grid(color=GRID, linewidth=0.8, zorder=0)
