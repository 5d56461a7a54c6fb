"""Pictures of robustness: a network's score as a disturbance becomes severe, a panel for each disturbance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sgbench.plots.style import BLUE, SOFT

MOST_COLUMNS = 3


@dataclass(frozen=True)
class DisturbedScores:
    """Holds one curve of scores over the strength of a disturbance.

    Args:
        name: of the disturbance.
        says: what a severity is.
        severities: a word for each point, undisturbed first.
        means: of each point.
        lowest: of each point, over draws.
        highest: of each point.
        area: mean of the curve by its first point, or None.
    """

    name: str
    says: str
    severities: Sequence[str]
    means: Sequence[float]
    lowest: Sequence[float]
    highest: Sequence[float]
    area: float | None


def robustness_figure(curves: Sequence[DisturbedScores], *, measure: str) -> Figure:
    """Draw a panel for each disturbance; its severities stand at equal distances, undisturbed on the left.

    Args:
        curves: at least one.
        measure: "accuracy" or "loss".
    """
    columns = min(MOST_COLUMNS, len(curves))
    rows = math.ceil(len(curves) / columns)
    figure = Figure(figsize=(4.4 * columns, 3.5 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).flatten()
    for panel, curve in zip(panels, curves, strict=False):
        _draw(panel, curve)
    for panel in panels[len(curves) :]:
        panel.set_axis_off()
    for row in range(rows):
        panels[row * columns].set_ylabel(f"validation {measure}")
    if measure == "accuracy":
        panels[0].set_ylim(0, 1.02)
    return figure


def _draw(panel: Axes, curve: DisturbedScores) -> None:
    places = range(len(curve.means))
    panel.axhline(curve.means[0], color=SOFT, linewidth=0.9, linestyle="--")
    panel.fill_between(places, curve.lowest, curve.highest, color=BLUE, alpha=0.2, linewidth=0)
    panel.plot(places, curve.means, color=BLUE, marker="o", markersize=4, linewidth=1.6)
    area = "" if curve.area is None else f", area {curve.area:.2f}"
    panel.set_title(f"{curve.name}{area}", loc="left", fontsize=12)
    panel.set_xticks(places, curve.severities)
    panel.tick_params(axis="x", labelsize=10)
    panel.set_xlabel(curve.says, fontsize=9)
