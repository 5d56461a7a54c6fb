"""What accuracy costs in spikes: one mark a setting, with the front of what no other setting beats."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

from sgbench.plots.error_axis import ErrorAxis
from sgbench.plots.style import GRID, INK, SOFT, look_of

TICK_GAP = 0.08


@dataclass(frozen=True)
class SpikeMark:
    """Describes one setting: spikes an inference and accuracy in %, means over seeds with their intervals."""

    spikes: float
    accuracy: float
    of_spikes: tuple[float, float] | None = None
    of_accuracy: tuple[float, float] | None = None


@dataclass(frozen=True)
class SpikeSeries:
    """Describes one shape: its settings."""

    name: str
    marks: tuple[SpikeMark, ...]


@dataclass(frozen=True)
class SpikePanel:
    """Describes one task; `target` is the accuracy at which spikes are compared."""

    title: str
    target: float
    series: tuple[SpikeSeries, ...]


def spikes_figure(panels: Sequence[SpikePanel]) -> Figure:
    figure = Figure(figsize=(1.0 + 4.6 * len(panels), 4.9), layout="constrained")
    grid: Any = figure.subplots(1, len(panels), squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=True):
        _panel(axes, panel)
    grid.flat[0].set_ylabel("test accuracy, %\n(scale: log of the error)", fontsize=13, color=INK)
    figure.supxlabel("spikes an inference (scale: log)", fontsize=13, color=INK)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    columns = 4 if len(panels) > 1 else 2
    place: Any = {"loc": "outside upper center", "ncols": columns, "frameon": False, "fontsize": 12}
    figure.legend(handles, labels, **place)
    return figure


def front(marks: Sequence[SpikeMark]) -> list[SpikeMark]:
    """Select the settings that no other beats with as few spikes, from few spikes to many.

    >>> [mark.spikes for mark in front([SpikeMark(10, 80), SpikeMark(20, 70), SpikeMark(30, 90)])]
    [10, 30]
    """
    pareto: list[SpikeMark] = []
    for mark in sorted(marks, key=lambda mark: (mark.spikes, -mark.accuracy)):
        if not pareto or mark.accuracy > pareto[-1].accuracy:
            pareto.append(mark)
    return pareto


def _panel(axes: Axes, panel: SpikePanel) -> None:
    axis = ErrorAxis()
    marks = [mark for series in panel.series for mark in series.marks]
    intervals = [end for mark in marks for end in mark.of_accuracy or ()]
    axis.frame(axes, "y", axis.limits([mark.accuracy for mark in marks], intervals), gap=TICK_GAP)
    axes.axhline(panel.target, color=SOFT, linestyle="--", linewidth=1.2, label="best minus 2 points", zorder=1)
    for position, series in enumerate(panel.series):
        shape = look_of(series.name, position)
        colour = shape["color"]
        spikes = [mark.spikes for mark in series.marks]
        accuracy = axis.shown([mark.accuracy for mark in series.marks])
        look: Any = {**shape, "s": 42, "zorder": 3}
        axes.scatter(spikes, accuracy, label=series.name, **look)
        best = front(series.marks)
        for mark in series.marks:
            thin: Any = {"color": colour, "linewidth": 1.0, "alpha": 0.6 if mark in best else 0.2, "zorder": 2}
            if mark.of_accuracy is not None:
                axes.vlines(mark.spikes, *axis.shown(mark.of_accuracy), **thin)
            if mark.of_spikes is not None:
                axes.hlines(axis.shown(mark.accuracy), *mark.of_spikes, **thin)
        steps = axis.shown([mark.accuracy for mark in best])
        axes.plot([mark.spikes for mark in best], steps, color=colour, linewidth=1.8, zorder=2)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_title(panel.title, fontsize=13, color=INK, parse_math=False)
    axes.tick_params(labelsize=12, colors=INK)
    axes.grid(color=GRID, linewidth=0.8, zorder=0)
