"""Accuracy over energy: charts with the Pareto front and the uncertainty of both, and settings under a budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sgbench.errors import InputError
from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Estimate, Series, ends_of, value_text
from sgbench.plots.figure import charts_figure
from sgbench.plots.style import BAND, COLOURS, GRID, INK, MARKERS, SOFT, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS, LONGEST_LABEL = 6, 38
FRONTS_ACROSS, BUDGETS_ACROSS, PANEL = 3, 2, (4.4, 3.9)  # panels side by side, and the size of each [inches]
ANN_LABEL = "the same without spikes"


@dataclass(frozen=True)
class FrontMethod:
    """Describes one method, equal in every panel."""

    label: str
    accuracies: tuple[float, ...]  # of each seed [%], or losses
    link: str | None = None  # to its page, from the top of a site

    @property
    def mean(self) -> float:
        """Return the mean accuracy [%], or the mean loss."""
        return math.fsum(self.accuracies) / len(self.accuracies)


@dataclass(frozen=True)
class FrontPanel:
    """Holds the energies of the methods on one target."""

    name: str
    energies: tuple[Estimate, ...]  # of an inference of each method [nJ]
    ann_nj: float | None  # of the network without spikes, if it is equal for all methods
    axis: str = "dynamic energy an inference, nJ"  # label of the horizontal axis


def front_figure(methods: Sequence[FrontMethod], panels: Sequence[FrontPanel], *, is_loss: bool = False) -> Figure:
    """Draw accuracy over energy, one panel for each of the first six targets, each method with its name."""
    if not panels:
        raise InputError("no target prices every method completely and at different energies; nothing to draw")
    charts = tuple(_chart_of_methods(panel, methods, is_loss=is_loss) for panel in panels[:MOST_PANELS])
    return charts_figure(Charts("", charts), columns=FRONTS_ACROSS, panel=PANEL)


def _chart_of_methods(panel: FrontPanel, methods: Sequence[FrontMethod], *, is_loss: bool) -> Chart:
    """Make the chart of one target with a series for each method, and a line through the Pareto front."""
    chart = _chart(panel, methods, is_loss=is_loss)
    others, front = (series.points for series in chart.series)
    by_place = {(point.x, point.y): point for point in (*others, *front)}
    method_series = tuple(
        Series(wrapped(method.label, LONGEST_LABEL, 3), (by_place[energy.value, method.mean],))
        for method, energy in zip(methods, panel.energies, strict=True)
    )
    line = tuple(ChartPoint(point.x, point.y) for point in front)
    best = Series("Pareto front", line, is_line=True, is_marked=False, tone="soft")
    lines = () if panel.ann_nj is None else (panel.ann_nj,)
    return replace(chart, series=(*method_series, best), x_lines=lines, lines=ANN_LABEL)


def front_charts(
    methods: Sequence[FrontMethod], panels: Sequence[FrontPanel], *, is_loss: bool, caption: str
) -> Charts:
    """Build the charts of scores over costs, one panel for each target, with labels on the Pareto front."""
    return Charts(caption, tuple(_chart(panel, methods, is_loss=is_loss) for panel in panels))


def _chart(panel: FrontPanel, methods: Sequence[FrontMethod], *, is_loss: bool) -> Chart:
    """Make the chart of one target, with two series: methods on the Pareto front and others.

    Losses are on a logarithmic axis, accuracies on one of errors.
    """
    sign = -1 if is_loss else 1  # `front_of` takes the larger value for the better one
    energies = list(zip(panel.energies, methods, strict=True))
    front = {*front_of([(energy.value, sign * method.mean) for energy, method in energies])}
    score_unit = "" if is_loss else " %"
    cost_unit = "spikes" if panel.ann_nj is None and "spikes" in panel.axis else "nJ"
    points: dict[bool, list[ChartPoint]] = {True: [], False: []}  # by whether they are on the front
    for energy, method in sorted(energies, key=lambda pair: pair[0].value):
        is_best = (energy.value, sign * method.mean) in front
        score_text = value_text(method.mean, unit=score_unit)
        point = ChartPoint(
            energy.value,
            method.mean,
            f"{method.label}: {score_text} at {value_text(energy.value, ends_of(energy))} {cost_unit}",
            method.link,
            method.label if is_best else "",
            x_ends=ends_of(energy),
            y_ends=(min(method.accuracies), max(method.accuracies)),
        )
        points[is_best].append(point)
    x_axis = ChartAxis(panel.axis, is_log=all(energy.low > 0 for energy in panel.energies))
    has_log = is_loss and all(method.mean > 0 for method in methods)
    y_axis = ChartAxis("test loss" if is_loss else "test accuracy, %", has_log, is_error=not is_loss)
    series = (
        Series("other methods", tuple(points[False]), tone="soft"),
        Series("Pareto front: no other is better in both", tuple(points[True]), is_line=True),
    )
    return Chart(panel.name, x_axis, y_axis, series)


def front_of(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Select the points (energy, accuracy) that no other beats in one and equals or beats in the other.

    They are the Pareto front, sorted by energy.

    >>> front_of([(1, 90), (2, 95), (3, 94)])
    [(1, 90), (2, 95)]
    """
    best = -math.inf
    front = []
    for energy, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if accuracy > best:
            front.append((energy, accuracy))
            best = accuracy
    return front


NO_CHOICE = 5.0  # percent from the least to the most energy, below which no budget chooses between settings
PANEL_INCHES = (5.2, 3.6)
TITLE_LETTERS, TITLE_LINES = 52, 2


@dataclass(frozen=True)
class BudgetPoint:
    """Holds one setting: the kind of its weights, its energy and its accuracy."""

    kind: str  # of its weights; each kind has a colour and a marker
    energy_nj: float
    accuracy: Estimate  # in percent, with its interval over seeds
    on_front: bool  # whether it is on the Pareto front by validation
    chosen: bool  # whether it is the advised setting


@dataclass(frozen=True)
class BudgetPanel:
    """Holds the settings of one task."""

    title: str
    points: tuple[BudgetPoint, ...]


def budget_figure(
    panels: Sequence[BudgetPanel], *, target: str, max_nj: float | None, min_accuracy: float | None
) -> Figure:
    """Draw each task's settings, with the Pareto front as a line, the advised one in a ring, and the budget shaded.

    `target`: name of the energy target. `max_nj`: most energy of the budget, up to which it is shaded [nJ]; None: no
    limit. `min_accuracy`: least accuracy of the budget, drawn as a line [%]; None: no limit.
    """
    from matplotlib.figure import Figure

    if not panels:
        raise InputError("no measured task to draw")
    kinds = sorted({point.kind for panel in panels for point in panel.points})
    styles = {kind: (COLOURS[index], MARKERS[index]) for index, kind in enumerate(kinds)}
    across = min(BUDGETS_ACROSS, len(panels))
    down = -(-len(panels) // across)
    width, height = PANEL_INCHES
    figure = Figure(figsize=(across * width, down * height + 0.5), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, panel in zip(grid.flat, panels, strict=False):
        if max_nj is not None:
            axes.axvspan(0, max_nj, ymin=0, color=BAND, linewidth=0, zorder=0)
            axes.axvline(max_nj, color=SOFT, linewidth=1)
        if min_accuracy is not None:
            axes.axhline(min_accuracy, color=SOFT, linewidth=1, linestyle="--")
        _draw_settings(axes, panel, styles)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(unique.values(), unique.keys(), loc="outside upper center", ncols=len(unique), frameon=False)
    figure.supxlabel(f"dynamic energy an inference on {target}, nJ", color=INK)
    figure.supylabel("test accuracy, %", color=INK)
    return figure


def _draw_settings(axes: Axes, panel: BudgetPanel, styles: dict[str, tuple[str, str]]) -> None:
    """Draw the settings of one task; `styles` maps each kind of weights to colour and marker."""
    for point in panel.points:
        colour, marker = styles[point.kind]
        accuracy = point.accuracy
        axes.plot([point.energy_nj] * 2, [accuracy.low, accuracy.high], color=colour, linewidth=1, alpha=0.5)
        axes.plot([point.energy_nj], [accuracy.value], marker, color=colour, label=point.kind, markersize=6)
        if point.chosen:
            axes.plot([point.energy_nj], [accuracy.value], "o", color=INK, fillstyle="none", markersize=13)
    front = sorted((point.energy_nj, point.accuracy.value) for point in panel.points if point.on_front)
    axes.plot(*zip(*front, strict=True), color=SOFT, linewidth=1, zorder=1)
    energies = [point.energy_nj for point in panel.points]
    margin = 0.15 * (max(energies) - min(energies)) or 1.0
    axes.set_xlim(min(energies) - margin, max(energies) + margin)
    axes.set_ylim(max(0.0, min(point.accuracy.low for point in panel.points) - 2), 101)
    axes.grid(color=GRID, linewidth=0.7)
    spread = 100 * (max(energies) / min(energies) - 1) if min(energies) > 0 else math.inf  # [%]
    title = f"{panel.title}; energies differ by {spread:.1f} %" if spread < NO_CHOICE else panel.title
    axes.set_title(wrapped(title, TITLE_LETTERS, TITLE_LINES), loc="left", color=INK, fontsize=11)
