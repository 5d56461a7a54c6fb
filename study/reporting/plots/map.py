"""Where the choice of a surrogate matters: accuracy against width, a panel a task, a line a shape."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series, ends_of, value_text
from sgbench.plots.error_axis import ErrorAxis
from sgbench.plots.estimate import Estimate
from sgbench.plots.style import GRID, INK, MARKERS, SOFT, VERMILION

COLUMNS = 2
LIGHTEST = 0.86  # of the colour map, so that the lightest line is seen on white
TICK_GAP = 0.09  # of the height
PANEL = (5.6, 3.9)  # inches


@dataclass(frozen=True)
class MapPoint:
    """Describes one width of one shape: mean score with its interval, and the share of runs that failed."""

    width: float
    score: Estimate
    failed: float


@dataclass(frozen=True)
class MapLine:
    """Describes one shape; its tail decides the colour, from compact and dark to heavy and light."""

    name: str
    tail: float
    points: tuple[MapPoint, ...]


@dataclass(frozen=True)
class MapPanel:
    """Describes a panel of one task, whose scale is accuracy above guessing."""

    title: str
    guess: float
    lines: tuple[MapLine, ...]


def tail_colour(tail: float, heaviest: float) -> Any:
    """Choose a colour that gets lighter as tails get heavier, for any colour vision and in print."""
    return mpl.colormaps["viridis"](LIGHTEST * tail / (heaviest or 1.0))


def map_figure(panels: Sequence[MapPanel]) -> Figure:
    """Draw the regime map: a panel a task, side by side with the same widths."""
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(columns * PANEL[0], rows * PANEL[1] + 0.9), layout="constrained")
    grid: Any = figure.subplots(rows, columns, sharex=True, squeeze=False)
    widths = sorted({point.width for panel in panels for line in panel.lines for point in line.points})
    for position, axes in enumerate(grid.flat):
        if position < len(panels):
            _panel(axes, panels[position], widths)
            axes.tick_params(labelbottom=True)
        else:
            axes.set_axis_off()
        if position + columns >= len(panels):
            axes.set_xlabel("width (thresholds, scale: log)", fontsize=13, color=INK)
        if position % columns == 0:
            axes.set_ylabel("test accuracy, %\n(scale: log of the error)", fontsize=13, color=INK)
    handles: dict[str, Any] = {}
    for axes in grid.flat:
        handles.update({label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)})
    place: Any = {"loc": "outside upper center", "ncols": 4, "frameon": False, "fontsize": 12.5}
    figure.legend(list(handles.values()), list(handles), **place)
    return figure


def _panel(axes: Axes, panel: MapPanel, widths: Sequence[float]) -> None:
    heaviest = max(line.tail for line in panel.lines)
    shown = _frame(axes, panel)
    for position, line in enumerate(panel.lines):
        _line(axes, shown, line, tail_colour(line.tail, heaviest), MARKERS[position % len(MARKERS)])
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(widths, [f"{width:g}" for width in widths])
    axes.set_title(panel.title, fontsize=13.5, color=INK, parse_math=False)
    axes.tick_params(labelsize=12, colors=INK)
    axes.grid(color=GRID, linewidth=0.8, zorder=0)


def _frame(axes: Axes, panel: MapPanel) -> Callable[[Any], Any]:
    """Set a panel's axis of errors, down to guessing; return the function that limits scores for drawing."""
    axis = ErrorAxis()
    estimates = [point.score for line in panel.lines for point in line.points]
    seen = [panel.guess, *(one.value for one in estimates)]
    axis.frame(axes, "y", axis.limits(seen, (end for one in estimates for end in one)), gap=TICK_GAP)
    axes.axhline(panel.guess, color=SOFT, linestyle="--", linewidth=1.2, label="guessing", zorder=1)
    return axis.shown


def _line(axes: Axes, shown: Callable[[Any], Any], line: MapLine, colour: Any, marker: str) -> None:
    """Draw mean, band and crosses; a cross lies on a cell of which some runs failed."""
    widths = [point.width for point in line.points]
    means, lows, highs = shown([point.score for point in line.points]).T
    axes.fill_between(widths, lows, highs, color=colour, alpha=0.15, linewidth=0, zorder=2)
    look: Any = {"color": colour, "marker": marker, "linewidth": 2.0, "markersize": 6.5, "zorder": 3}
    axes.plot(widths, means, label=line.name, **look)
    crossed = [(point.width, mean) for point, mean in zip(line.points, means, strict=True) if point.failed]
    if crossed:
        x, y = zip(*crossed, strict=True)
        cross: Any = {"marker": "x", "s": 95, "linewidths": 2.2, "color": VERMILION, "zorder": 5}
        axes.scatter(x, y, label="some runs failed", **cross)


def map_charts(panels: Sequence[MapPanel], caption: str) -> Charts:
    """Build the charts of the regime map: a panel a task with a line a shape, compact shapes first."""
    return Charts(caption, tuple(map(_chart, panels)))


def _chart(panel: MapPanel) -> Chart:
    series = tuple(
        Series(line.name, tuple(map(_point, line.points)), is_line=True, has_band=True)
        for line in sorted(panel.lines, key=lambda line: line.tail)
    )
    title = panel.title.partition(": ")[2] or panel.title
    across, up = ChartAxis("width (thresholds)", is_log=True), ChartAxis("test accuracy, %")
    return Chart(title, across, up, series, y_lines=(panel.guess,))


def _point(point: MapPoint) -> ChartPoint:
    ends = ends_of(point.score)
    words = f"width {point.width:g}, {value_text(point.score.value, ends, ' %')}"
    failed = f"; {100 * point.failed:.0f} % of runs failed" if point.failed else ""
    return ChartPoint(point.width, point.score.value, words + failed, y_ends=ends)
