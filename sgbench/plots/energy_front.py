"""Charts of accuracy over energy, with the Pareto front and the uncertainty of both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sgbench.errors import InputError
from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series, ends_of, value_text
from sgbench.plots.estimate import Estimate
from sgbench.plots.figure import charts_figure
from sgbench.plots.style import wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_PANELS = 6
ACROSS, PANEL = 3, (4.4, 3.9)  # panels side by side, and the size of each [inches]
LONGEST_LABEL = 38
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
    charts = tuple(_named(panel, methods, is_loss=is_loss) for panel in panels[:MOST_PANELS])
    return charts_figure(Charts("", charts), columns=ACROSS, panel=PANEL)


def _named(panel: FrontPanel, methods: Sequence[FrontMethod], *, is_loss: bool) -> Chart:
    """Make the chart of one target with a series for each method, and a line through the Pareto front."""
    chart = _chart(panel, methods, is_loss=is_loss)
    others, front = (series.points for series in chart.series)
    by_place = {(point.x, point.y): point for point in (*others, *front)}
    named = tuple(
        Series(wrapped(method.label, LONGEST_LABEL, 3), (by_place[energy.value, method.mean],))
        for method, energy in zip(methods, panel.energies, strict=True)
    )
    line = tuple(ChartPoint(point.x, point.y) for point in front)
    best = Series("Pareto front", line, is_line=True, is_marked=False, tone="soft")
    lines = () if panel.ann_nj is None else (panel.ann_nj,)
    return replace(chart, series=(*named, best), x_lines=lines, lines=ANN_LABEL)


def front_charts(
    methods: Sequence[FrontMethod], panels: Sequence[FrontPanel], *, is_loss: bool, caption: str
) -> Charts:
    """Build the charts of scores over costs, one panel for each target, with labels on the Pareto front."""
    return Charts(caption, tuple(_chart(panel, methods, is_loss=is_loss) for panel in panels))


def _chart(panel: FrontPanel, methods: Sequence[FrontMethod], *, is_loss: bool) -> Chart:
    """Make the chart of one target: losses on a logarithmic axis, or accuracies on one of errors."""
    sign = -1 if is_loss else 1
    pairs = list(zip(methods, panel.energies, strict=True))
    best = {*front_of([(energy.value, sign * method.mean) for method, energy in pairs])}
    points: dict[bool, list[ChartPoint]] = {True: [], False: []}  # by whether they are on the front
    for method, energy in sorted(pairs, key=lambda pair: pair[1].value):
        ends = min(method.accuracies), max(method.accuracies)
        is_best = (energy.value, sign * method.mean) in best
        unit = "" if is_loss else " %"
        energy_text = value_text(energy.value, ends_of(energy))
        tooltip = f"{method.label}: {value_text(method.mean, unit=unit)} at {energy_text}"
        point = ChartPoint(
            energy.value,
            method.mean,
            f"{tooltip} {'spikes' if panel.ann_nj is None and 'spikes' in panel.axis else 'nJ'}",
            method.link,
            method.label if is_best else "",
            ends_of(energy),
            ends,
        )
        points[is_best].append(point)
    x_axis = ChartAxis(panel.axis, is_log=all(energy.low > 0 for _, energy in pairs))
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
