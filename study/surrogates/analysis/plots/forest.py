"""Which surrogate: the difference of each shape to one, task by task, beside the margin."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sgbench.plots.chart import Estimate
from sgbench.plots.style import BLUE, GRID, INK, SOFT, VERMILION

Word = Literal["better", "worse", "equal", "open"]
LOOKS: dict[str, dict[str, Any]] = {
    "equal": {"color": BLUE, "marker": "o"},
    "better": {"color": VERMILION, "marker": "^"},
    "worse": {"color": VERMILION, "marker": "v"},
    "open": {"color": SOFT, "marker": "o", "markerfacecolor": "white"},
}
"""Colour and marker say the same, so that a picture in grey can be read."""
ROW = 0.46  # inches
LABEL = 22  # characters of a line
MOST_POINTS = 15.0  # beyond which an axis is cut, with an arrow


@dataclass(frozen=True)
class ForestRow:
    """Describes one task: a difference with its interval and what it shows."""

    label: str
    difference: Estimate
    word: Word


@dataclass(frozen=True)
class ForestPanel:
    """Describes one shape: its tasks."""

    title: str
    rows: tuple[ForestRow, ...]


def forest_figure(panels: Sequence[ForestPanel], *, margin: float, reference: str, unit: str = "points") -> Figure:
    """Draw the panels side by side: a row for each label, intervals of the differences, and the margin shaded."""
    labels = list(dict.fromkeys(row.label for panel in panels for row in panel.rows))
    height = len(labels) * ROW + 1.7
    figure = Figure(figsize=(2.2 + 2.25 * len(panels), height), layout="constrained")
    grid: Any = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)
    ends = [end for panel in panels for row in panel.rows for end in row.difference]
    reach = min(MOST_POINTS, max([1.6 * margin, *(abs(end) for end in ends)]) * 1.06)
    for axes, panel in zip(grid.flat, panels, strict=True):
        _panel(axes, panel, labels, margin, reach)
        axes.set_title(panel.title, fontsize=13, color=INK, parse_math=False)
    figure.supxlabel(f"test accuracy minus that of {reference}, {unit}", fontsize=13, color=INK)
    texts = {"equal": "equal within the margin (shaded)", "better": "better", "worse": "worse", "open": "open"}
    look: Any = {"linestyle": "none", "markersize": 8}
    handles = [Line2D([], [], label=text, **look, **LOOKS[word]) for word, text in texts.items()]
    legend: Any = {"loc": "outside upper center", "ncols": 4, "frameon": False, "fontsize": 12}
    figure.legend(handles=handles, **legend)
    return figure


def _panel(axes: Axes, panel: ForestPanel, labels: Sequence[str], margin: float, reach: float) -> None:
    axes.axvspan(-margin, margin, color=BLUE, alpha=0.13, linewidth=0, zorder=0)
    axes.axvline(0, color=SOFT, linewidth=1, zorder=1)
    places = {label: len(labels) - index for index, label in enumerate(labels)}
    for row in panel.rows:
        _mark(axes, row.difference, places[row.label], reach, {"markersize": 8, **LOOKS[row.word]})
    axes.set_xlim(-reach, reach)
    axes.set_ylim(0.4, len(labels) + 0.6)
    names = [textwrap.fill(label, LABEL) for label in places]
    axes.set_yticks([*places.values()], names)
    axes.tick_params(axis="y", length=0, labelsize=11.5, pad=9, colors=INK)
    axes.tick_params(axis="x", length=3, labelsize=12, colors=INK)
    axes.grid(axis="x", color=GRID, linewidth=0.8, zorder=0)


def _mark(axes: Axes, estimate: Estimate, place: float, reach: float, look: dict[str, Any]) -> None:
    low, high = max(estimate.low, -reach), min(estimate.high, reach)
    if low < high:
        axes.plot([low, high], [place, place], color=look["color"], linewidth=1.8, zorder=2)
    if abs(estimate.value) <= reach:
        axes.plot([estimate.value], [place], linestyle="none", zorder=3, **look)
        return
    edge = reach if estimate.value > 0 else -reach
    side = {"ha": "right" if edge > 0 else "left", "va": "bottom", "fontsize": 11, "color": look["color"]}
    arrow = {**look, "marker": ">" if edge > 0 else "<"}
    axes.plot([edge], [place], linestyle="none", clip_on=False, zorder=3, **arrow)
    axes.text(0.9 * edge, place + 0.12, f"{estimate.value:+.0f}", **side)
