"""Pictures of robustness: a network's score as a disturbance becomes severe, a panel for each disturbance."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sgbench.diagnosis.robustness import RobustnessCurve
from sgbench.errors import InputError
from sgbench.inspection.diagnosis_text import severity_word
from sgbench.plots.style import BLUE, SOFT

MOST_COLUMNS = 3


def robustness_figure(measured: Sequence[RobustnessCurve]) -> Figure:
    """Draw a panel for each disturbance; its severities stand at equal distances, undisturbed on the left.

    Raises:
        InputError: no curve has a point.
    """
    curves = [curve for curve in measured if curve.points]
    if not curves:
        raise InputError("--plot: nothing was measured that could be drawn")
    measure = curves[0].measure
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


def _draw(panel: Axes, curve: RobustnessCurve) -> None:
    severities, means, lowest, highest = zip(*curve.points, strict=True)
    places = range(len(means))
    panel.axhline(means[0], color=SOFT, linewidth=0.9, linestyle="--")
    panel.fill_between(places, lowest, highest, color=BLUE, alpha=0.2, linewidth=0)
    panel.plot(places, means, color=BLUE, marker="o", markersize=4, linewidth=1.6)
    area = "" if curve.area is None else f", area {curve.area:.2f}"
    panel.set_title(f"{curve.name}{area}", loc="left", fontsize=12)
    panel.set_xticks(places, [severity_word(severity) for severity in severities])
    panel.tick_params(axis="x", labelsize=10)
    panel.set_xlabel(curve.says, fontsize=9)
