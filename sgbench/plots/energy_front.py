"""Draw accuracy over energy, with the Pareto front and the uncertainty of both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sgbench.errors import InputError
from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series, ends_of, value_text
from sgbench.plots.estimate import Estimate
from sgbench.plots.labels import lines_of, wrapped
from sgbench.plots.style import COLOURS, GRID, INK, MARKERS, SOFT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 6
ACROSS = 3
LEGEND_COLUMNS, LEGEND_LINES = 4, 3
LETTER_INCHES, LINE_INCHES = 0.09, 0.2  # of a legend's text
MARK_INCHES = 0.55  # width of a marker with the space around it
LONGEST_LABEL = 60
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


@dataclass(frozen=True)
class _Legend:
    """Holds the texts of a legend that fits into the width of its figure."""

    texts: dict[str, str]  # by label
    columns: int
    height: float  # [inches]

    @classmethod
    def of(cls, labels: Sequence[str], width: float) -> _Legend:
        """Wrap labels into lines and arrange them in the columns that fit into a width [inches]."""
        longest = min(LONGEST_LABEL, int((width - MARK_INCHES) / LETTER_INCHES))
        texts = {label: wrapped(label, longest, LEGEND_LINES) for label in labels}
        letters = max(len(line) for text in texts.values() for line in text.split("\n"))
        columns = min(LEGEND_COLUMNS, max(1, int(width / (MARK_INCHES + LETTER_INCHES * letters))))
        shown = list(texts.values())
        longest_column = math.ceil(len(shown) / columns)
        parts = (shown[first : first + longest_column] for first in range(0, len(shown), longest_column))
        lines = max(sum(lines_of([text]) for text in part) for part in parts)
        return cls(texts, columns, 0.4 + LINE_INCHES * lines + 0.06 * longest_column)


def front_figure(methods: Sequence[FrontMethod], panels: Sequence[FrontPanel], *, is_loss: bool = False) -> Figure:
    """Draw accuracy over energy, one panel for each of the first six targets."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    if not panels:
        raise InputError("no target prices every method completely and at different energies; nothing to draw")
    panels = panels[:MOST_PANELS]
    across, rows = min(ACROSS, len(panels)), math.ceil(len(panels) / ACROSS)
    width, height = front_size(methods, panels)
    legend = _legend(methods, panels)
    inside = ConstrainedLayoutEngine(rect=(0, legend.height / height, 1, 1 - legend.height / height))
    figure = Figure(figsize=(width, height), layout=inside)
    grid = figure.subplots(rows, across, squeeze=False, sharey=True)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw(axes, panel, methods, is_loss=is_loss)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for row_axes in grid:
        row_axes[0].set_ylabel("test loss" if is_loss else "test accuracy, %", color=INK)
    # One legend below all panels names each line once.
    handles: dict[str, Any] = {}
    for axes in grid.flat:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    style: Any = {"loc": "lower left", "ncols": legend.columns, "frameon": False, "fontsize": 11}
    figure.legend(list(handles.values()), [legend.texts[name] for name in handles], **style)
    return figure


def front_size(methods: Sequence[FrontMethod], panels: Sequence[FrontPanel]) -> tuple[float, float]:
    """Compute width and height of the figure of fronts in inches."""
    panels = panels[:MOST_PANELS]
    return _front_width(panels), 3.9 * math.ceil(len(panels) / ACROSS) + _legend(methods, panels).height


def _front_width(panels: Sequence[FrontPanel]) -> float:
    """Compute the width of the figure [inches]."""
    return 4.4 * min(ACROSS, len(panels)) + 0.4


def _legend(methods: Sequence[FrontMethod], panels: Sequence[FrontPanel]) -> _Legend:
    """Make the legend of the methods, and of the network without spikes if a panel shows it."""
    names = [method.label for method in methods]
    has_ann = any(panel.ann_nj is not None for panel in panels)
    return _Legend.of([*names, ANN_LABEL] if has_ann else names, _front_width(panels))


def _draw(axes: Axes, panel: FrontPanel, methods: Sequence[FrontMethod], *, is_loss: bool) -> None:
    """Draw one target: each method with the ends of its energy and scores, and the Pareto front."""
    for index, (method, energy) in enumerate(zip(methods, panel.energies, strict=True)):
        colour = COLOURS[index % len(COLOURS)]
        ends = [energy.low, energy.high]
        axes.plot(ends, [method.mean] * 2, "|-", linewidth=1.4, alpha=0.6, markersize=9, color=colour)
        spread = [min(method.accuracies), max(method.accuracies)]
        axes.plot([energy.value] * 2, spread, linewidth=1, color=colour)
        # A repeated colour has another marker.
        marker = MARKERS[(index + index // len(COLOURS)) % len(MARKERS)]
        axes.plot([energy.value], [method.mean], marker, markersize=8, label=method.label, color=colour)
    sign = -1 if is_loss else 1
    pairs = zip(methods, panel.energies, strict=True)
    best = front_of([(energy.value, sign * method.mean) for method, energy in pairs])
    front = [(energy_nj, sign * score) for energy_nj, score in best]
    axes.plot(*zip(*front, strict=True), color=SOFT, linewidth=1, linestyle="--", zorder=0)
    if panel.ann_nj is not None:
        axes.axvline(panel.ann_nj, color=SOFT, linewidth=1.2, linestyle=":", label=ANN_LABEL)
    axes.set_title(panel.name, color=INK, loc="left")
    axes.set_xlabel(panel.axis, color=INK)
    axes.grid(color=GRID, linewidth=0.7, zorder=-1)


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
