"""Gain by tuning: the expected test score of the best of n settings, a panel a task and a line a shape."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sgbench.plots.error_axis import ErrorAxis
from sgbench.plots.style import GRID, INK, MARKERS
from study.reporting.plots.map import tail_colour

TICK_GAP = 0.08
TICKS = (1, 3, 5, 10, 15, 20)


@dataclass(frozen=True)
class TuningLine:
    """Describes one shape: the expected test score in % of the best of 1, 2, ... settings; its tail colours it."""

    name: str
    tail: float
    scores: tuple[float, ...]


@dataclass(frozen=True)
class TuningPanel:
    """Holds the panel of one task: expected scores by settings tried."""

    title: str
    lines: tuple[TuningLine, ...]


def tuning_figure(panels: Sequence[TuningPanel]) -> Figure:
    """Draw the expected test score of the best of n settings, by task and shape."""
    figure = Figure(figsize=(1.2 + 4.4 * len(panels), 4.6), layout="constrained")
    grid: Any = figure.subplots(1, len(panels), squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=True):
        _panel(axes, panel)
    grid.flat[0].set_ylabel("test accuracy, %\n(scale: log of the error)", fontsize=13, color=INK)
    figure.supxlabel("settings tried", fontsize=13, color=INK)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    place: Any = {"loc": "outside upper center", "ncols": 6, "frameon": False, "fontsize": 12}
    figure.legend(handles, labels, **place)
    return figure


def _panel(axes: Axes, panel: TuningPanel) -> None:
    axis = ErrorAxis()
    heaviest = max(line.tail for line in panel.lines)
    axis.frame(axes, "y", axis.limits(score for line in panel.lines for score in line.scores), gap=TICK_GAP)
    for position, line in enumerate(panel.lines):
        tried = range(1, len(line.scores) + 1)
        look: Any = {"color": tail_colour(line.tail, heaviest), "marker": MARKERS[position % len(MARKERS)]}
        axes.plot(tried, axis.shown(line.scores), label=line.name, linewidth=2, markersize=5.5, **look)
    most = max(len(line.scores) for line in panel.lines)
    axes.set_xticks([tick for tick in TICKS if tick <= most])
    axes.set_title(panel.title, fontsize=13, color=INK, parse_math=False)
    axes.tick_params(labelsize=12, colors=INK)
    axes.grid(color=GRID, linewidth=0.8, zorder=0)
