"""Methods side by side, such as learning rules: a score on each task, and beside it what a method takes."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series, ends_of, value_text
from sgbench.plots.error_axis import ErrorAxis
from sgbench.plots.estimate import Estimate
from sgbench.plots.style import BLUE, GRID, INK, SOFT, VERMILION

ROW = 0.42  # inches
TITLE = 20  # characters of a line
COST = BLUE
WORST = 0.0
TICK_GAP = 0.12
NEVER = "not known"


@dataclass(frozen=True)
class MethodPanel:
    """Holds one number of each method, in the order of the methods; None where it is not known.

    Args:
        title: of the panel.
        unit: below its axis.
        values: with their intervals.
        kind: accuracy, whose axis is one of errors; share, from 0 to 100; or cost, of which less is better.
    """

    title: str
    unit: str
    values: tuple[Estimate | None, ...]
    kind: Literal["accuracy", "share", "cost"] = "accuracy"


def methods_figure(names: Sequence[str], panels: Sequence[MethodPanel]) -> Figure:
    """Draw a panel a score or cost, methods as rows; a dashed line goes through the first one's number."""
    figure = Figure(figsize=(2.4 + 2.3 * len(panels), len(names) * ROW + 1.8), layout="constrained")
    grid: Any = figure.subplots(1, len(panels), sharey=True, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=True):
        _panel(axes, panel)
    grid.flat[0].set_yticks(range(len(names)), list(names))
    grid.flat[0].set_ylim(len(names) - 0.4, -0.6)
    return figure


def _frame(axes: Axes, panel: MethodPanel) -> None:
    if panel.kind == "cost":
        axes.margins(x=0.15)  # room for the marks at the ends
        axes.set_xlim(left=WORST)
    elif panel.kind == "share":
        axes.set_xlim(-3, 103)
    else:
        axis = ErrorAxis()
        known = [one for one in panel.values if one is not None]
        ends = axis.limits([one.value for one in known], (end for one in known for end in one))
        axis.frame(axes, "x", ends, gap=TICK_GAP)


def _panel(axes: Axes, panel: MethodPanel) -> None:
    is_cost = panel.kind == "cost"
    colour = COST if is_cost else VERMILION
    reference = panel.values[0]
    if reference is not None:
        axes.axvline(reference.value, color=SOFT, linestyle="--", linewidth=1.2, zorder=1)
    for place, estimate in enumerate(panel.values):
        if estimate is None:
            axes.text(0.03, place, NEVER, transform=axes.get_yaxis_transform(), va="center", fontsize=11, color=SOFT)
            continue
        axes.plot([estimate.low, estimate.high], [place, place], color=colour, linewidth=2.2, zorder=2)
        marker = "s" if is_cost else "o"
        axes.plot([estimate.value], [place], marker=marker, markersize=8, color=colour, zorder=3)
    _frame(axes, panel)
    axes.set_title(textwrap.fill(panel.title, TITLE), fontsize=12, color=INK, parse_math=False)
    scale = f"\n{ErrorAxis().scale_note}" if panel.kind == "accuracy" else ""
    axes.set_xlabel(f"{panel.unit}{scale}", fontsize=12, color=INK)
    axes.tick_params(axis="y", length=0, labelsize=12, colors=INK)
    axes.tick_params(axis="x", length=3, labelsize=12, colors=INK)
    axes.grid(color=GRID, linewidth=0.8, zorder=0)


def methods_charts(names: Sequence[str], panels: Sequence[MethodPanel], caption: str) -> Charts:
    """Build the charts of what `methods_figure` draws, a panel a score or cost, methods as rows."""

    def chart(panel: MethodPanel) -> Chart:
        points = tuple(
            ChartPoint(one.value, row, f"{name} {value_text(one.value, ends_of(one))}", x_ends=ends_of(one))
            for row, (name, one) in enumerate(zip(names, panel.values, strict=True))
            if one is not None
        )
        first = panel.values[0]
        series = Series(panel.unit, points, tone="" if panel.kind == "cost" else "bad")
        rows, lines = ChartAxis(names=tuple(names)), () if first is None else (first.value,)
        title = panel.title.partition(": ")[2] or panel.title  # without its code
        return Chart(title, ChartAxis(panel.unit), rows, (series,), x_lines=lines)

    return Charts(caption, tuple(map(chart, panels)))
