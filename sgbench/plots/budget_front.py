"""Draw accuracy over energy under a budget, one panel for each task."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sgbench.errors import InputError
from sgbench.plots.estimate import Estimate
from sgbench.plots.style import BAND, COLOURS, GRID, INK, MARKERS, SOFT, wrapped

ACROSS = 2
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
    if not panels:
        raise InputError("no measured task to draw")
    kinds = sorted({point.kind for panel in panels for point in panel.points})
    styles = {kind: (COLOURS[index], MARKERS[index]) for index, kind in enumerate(kinds)}
    across = min(ACROSS, len(panels))
    down = -(-len(panels) // across)
    width, height = PANEL_INCHES
    figure = Figure(figsize=(across * width, down * height + 0.5), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, panel in zip(grid.flat, panels, strict=False):
        _shade(axes, max_nj, min_accuracy)
        _draw(axes, panel, styles)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(unique.values(), unique.keys(), loc="outside upper center", ncols=len(unique), frameon=False)
    figure.supxlabel(f"dynamic energy an inference on {target}, nJ", color=INK)
    figure.supylabel("test accuracy, %", color=INK)
    return figure


def _shade(axes: Axes, max_nj: float | None, min_accuracy: float | None) -> None:
    """Draw the energies that a budget allows as a shaded area, and lines at its limits."""
    if max_nj is not None:
        axes.axvspan(0, max_nj, ymin=0, color=BAND, linewidth=0, zorder=0)
        axes.axvline(max_nj, color=SOFT, linewidth=1)
    if min_accuracy is not None:
        axes.axhline(min_accuracy, color=SOFT, linewidth=1, linestyle="--")


def _draw(axes: Axes, panel: BudgetPanel, styles: dict[str, tuple[str, str]]) -> None:
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
    spread = 100 * (max(energies) / min(energies) - 1) if min(energies) > 0 else math.inf
    noted = f"{panel.title}; energies differ by {spread:.1f} %" if spread < NO_CHOICE else panel.title
    axes.set_title(wrapped(noted, TITLE_LETTERS, TITLE_LINES), loc="left", color=INK, fontsize=11)
