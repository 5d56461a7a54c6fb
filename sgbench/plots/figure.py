"""Draw charts as a figure for files, with the looks of the site."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from sgbench.plots.chart import Chart, ChartAxis, Charts, Series
from sgbench.plots.error_axis import ErrorAxis
from sgbench.plots.style import BLUE, GRID, INK, SOFT, VERMILION, look_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = (5.6, 3.7)  # inches
ROW, FOOT = 0.42, 1.25  # of a panel with rows: a row's height, and that of title and axis [inches]
TONES = {"soft": SOFT, "good": BLUE, "bad": VERMILION}
LETTER_INCHES, LINE = 0.095, 0.24
FONT_SIZE = 12.5
GAP, MARGIN = 0.09, 0.05  # between numbers at an axis of errors, and beyond the values, relative to the axis


def charts_figure(charts: Charts, *, columns: int = 2, panel: tuple[float, float] = PANEL) -> Figure:
    """Draw all panels in a grid with one legend above.

    `charts`: the panels; where the vertical axis has names, all panels have the same ones. `columns`: most panels side
    by side. `panel`: width and height of each [inches]; with names the height follows from their count.
    """
    from matplotlib.figure import Figure

    panels = charts.panels
    names = panels[0].y.names
    columns = min(columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    width, height = panel
    if names:
        height = ROW * len(names) + FOOT
    left = LETTER_INCHES * max(map(len, names), default=0)
    figure = Figure(figsize=(columns * width + left, rows * height + 0.7), layout="constrained")
    grid: Any = figure.subplots(rows, columns, sharey=bool(names), squeeze=False)
    letters = int(width / LETTER_INCHES)
    # A series has the same colour in all panels; one with a tone has its colour from that.
    untoned = dict.fromkeys(line.key or line.name for chart in panels for line in chart.series if not line.tone)
    colour_numbers = {name: number for number, name in enumerate(untoned)}
    for place, axes in enumerate(grid.flat):
        if place >= len(panels):
            axes.set_axis_off()
            continue
        chart = panels[place]
        draw_chart(axes, chart, colour_numbers)
        axes.set_title(textwrap.fill(chart.title, letters), fontsize=13, color=INK, parse_math=False)
        # Neighbours with an equal axis share its label: the lowest panel's, and the leftmost one's.
        below = panels[place + columns] if place + columns < len(panels) else None
        if below is None or below.x != chart.x:
            axes.set_xlabel(_axis_label(chart.x), fontsize=FONT_SIZE, color=INK)
        if place % columns == 0 or chart.y.label != panels[place - 1].y.label:
            axes.set_ylabel(_axis_label(chart.y), fontsize=FONT_SIZE, color=INK)
    _legend(figure, list(grid.flat))
    return figure


def _legend(figure: Figure, panels: list[Axes]) -> None:
    """Write one legend of all panels above them, and make the figure higher by its lines.

    There is none if no panel has two series: then the title of each panel says what is drawn.
    """
    legends = [axes.get_legend_handles_labels() for axes in panels]
    if not any(len(names) > 1 for _, names in legends):
        return
    by_name = {name: handle for handles, names in legends for name, handle in zip(names, handles, strict=True)}
    entries = [name.split("\n") for name in by_name]  # lines of each entry
    most_letters = max(len(line) for entry in entries for line in entry)
    columns = max(1, int(figure.get_figwidth() / (0.7 + LETTER_INCHES * most_letters)))
    added_inches = LINE * math.ceil(len(entries) / columns) * max(map(len, entries)) - 0.45
    figure.set_figheight(figure.get_figheight() + max(0.0, added_inches))
    figure.legend(
        list(by_name.values()),
        list(by_name),
        loc="outside upper center",
        fontsize=FONT_SIZE,
        ncols=columns,
        frameon=False,
    )


def _axis_label(axis: ChartAxis) -> str:
    """Write the label of an axis with a note on its scale, unless that is linear."""
    return f"{axis.label}\n{ErrorAxis().scale_note}" if axis.is_error else f"{axis.label}{', scale: log' * axis.is_log}"


def draw_chart(axes: Axes, chart: Chart, colour_numbers: dict[str, int]) -> None:
    """Draw one chart without title and labels.

    `colour_numbers`: maps names of series to indices of the palette; the known surrogate shapes have colours anyway.
    """
    x, y, x_ends, y_ends = list(chart.x_lines), list(chart.y_lines), [], []  # values, and ends of intervals
    for point in (point for series in chart.series for point in series.points):
        x.append(point.x)
        y.append(point.y)
        x_ends += point.x_ends or ()
        y_ends += point.y_ends or ()
    _scale(axes, "x", chart.x, x, x_ends)
    if chart.y.names:
        axes.set_yticks(range(len(chart.y.names)), list(chart.y.names))
        axes.set_ylim(len(chart.y.names) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
    else:
        _scale(axes, "y", chart.y, y, y_ends)
    for draw_line, values in ((axes.axvline, chart.x_lines), (axes.axhline, chart.y_lines)):
        for value in values:
            draw_line(value, color=SOFT, linestyle="--", linewidth=1.2, zorder=1, label=chart.lines or None)
    for series in chart.series:
        if series.points:
            _draw_series(axes, chart, series, colour_numbers)
    axes.tick_params(labelsize=12, colors=INK)
    axes.grid(color=GRID, linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)


def _scale(axes: Axes, side: Literal["x", "y"], axis: ChartAxis, values: list[float], ends: list[float]) -> None:
    """Set scale, limits and numbers of an axis.

    `values`: of all points, inside the limits unless the axis states its own. `ends`: of intervals, also inside, but
    on an axis of errors not if they are far beyond the values.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

    if axis.is_error:
        ErrorAxis().frame(axes, side, axis.ends or ErrorAxis().limits(values, ends), gap=GAP)
        return
    drawn = getattr(axes, f"{side}axis")
    if axis.is_log:
        getattr(axes, f"set_{side}scale")("log")
        drawn.set_minor_locator(NullLocator())
        drawn.set_major_locator(FixedLocator(axis.ticks) if axis.ticks else LogLocator(subs=(1, 2, 5), numticks=8))
        drawn.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    elif axis.ticks:
        drawn.set_major_locator(FixedLocator(axis.ticks))
    if axis.ends is not None:
        getattr(axes, f"set_{side}lim")(*axis.ends)
    elif not axis.is_log:
        low, high = min([*values, *ends]), max([*values, *ends])
        margin = MARGIN * (high - low or abs(high) or 1.0)
        getattr(axes, f"set_{side}lim")(low if low == 0 else low - margin, high + margin)


def _draw_series(axes: Axes, chart: Chart, series: Series, colour_numbers: dict[str, int]) -> None:
    """Draw a series: its band or whiskers, its line, and its marks; one beyond the frame is an arrow at its edge."""
    name = series.key or series.name
    look: Any = look_of(name, colour_numbers.get(name, 0))
    colour = TONES[series.tone] if series.tone in TONES else look["color"]
    marker = series.marker or ("o" if series.tone else look["marker"])
    clip = ErrorAxis().clip if chart.y.is_error else list
    x, y = [point.x for point in series.points], clip([point.y for point in series.points])
    _draw_intervals(axes, series, clip, colour)
    if series.marker == "x":
        axes.scatter(x, y, marker="x", s=60, linewidths=1.7, color=colour, zorder=5, label=name)
        return
    size = 5 if series.tone == "soft" else 7
    style: Any = {"color": colour, "linewidth": 2.0 if series.is_line else 0, "markersize": size, "zorder": 4}
    axes.plot(x, y, marker=marker if series.is_marked else "", label=name or None, **style)
    low, high = sorted(axes.get_xlim())
    for across, up in zip(x, y, strict=True):
        if not low <= across <= high:
            edge, arrow = (high, ">") if across > high else (low, "<")
            axes.plot([edge], [up], arrow, color=colour, markersize=9, clip_on=False, zorder=4)


def _draw_intervals(axes: Axes, series: Series, clip: Callable[[Any], Any], colour: str) -> None:
    """Draw the intervals of a series: vertical ones as a band or as whiskers, horizontal ones as whiskers.

    `clip` limits scores to what an axis of errors can show.
    """
    intervals = [(point.x, point.y_ends) for point in series.points if point.y_ends is not None]
    if series.has_band and intervals:
        x, ends = zip(*intervals, strict=True)
        lows, highs = (clip(side) for side in zip(*ends, strict=True))
        axes.fill_between(x, lows, highs, color=colour, alpha=0.15, linewidth=0, zorder=2)
    else:
        for x, ends in intervals:
            axes.plot([x, x], clip(ends), color=colour, linewidth=1.4, alpha=0.6, zorder=2)
    for point in series.points:
        if point.x_ends is not None:
            axes.plot(point.x_ends, [point.y] * 2, color=colour, linewidth=2.2, zorder=2)
