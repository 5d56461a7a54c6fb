"""The picture of accuracy against energy: who is worth what it costs, and how far that is known."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from sgbench.cli.compare import check_picture_path
from sgbench.energy.crossover import compare
from sgbench.energy.interval import Interval
from sgbench.energy.price import price
from sgbench.errors import InputError
from sgbench.plots.board import COLOURS, INK, MARKERS, SOFT
from sgbench.plots.sweep import STYLE, UNDATED
from sgbench.records.energy import EnergyTarget
from sgbench.records.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sgbench.cli.energy_rank import Contestant

MOST_PANELS = 6
ACROSS = 3


class Panel(NamedTuple):
    """What one target says."""

    name: str
    energies: list[Interval]  # of each method
    ann_nj: float | None


def draw(found: Sequence[Contestant], targets: dict[str, EnergyTarget], path: Path) -> None:
    """Write the picture, one panel a target that tells methods apart; those of the boards first, six in all.

    Raises:
        InputError: no target has a total for every method, or the path is no picture's.
        StorageError: the file cannot be written.
    """
    check_picture_path(path)
    panels: list[Panel] = []
    for name, target in sorted(targets.items(), key=lambda item: not item[1].on_boards):
        energies = [price(each.counts, target=target, dt_s=each.dt_s).dynamic_nj for each in found]
        if None not in energies and len(set(energies)) > 1:
            panels.append(
                Panel(name, [energy for energy in energies if energy is not None], _ann_nj(found, target))
            )
    if not panels:
        raise InputError("no target has a total for every method, and tells them apart; nothing to draw")
    out = io.BytesIO()
    kind = path.suffix.lower()
    with style.context(["default", STYLE]):
        figure = _figure(found, panels[:MOST_PANELS])
        figure.savefig(out, format=kind[1:], metadata=UNDATED[kind])
    write_atomic(path, out.getvalue())


def _ann_nj(found: Sequence[Contestant], target: EnergyTarget) -> float | None:
    """The network without spikes, where it has a total and is the same for all methods."""
    costs = {compare(each.counts, target=target, dt_s=each.dt_s).ann_nj for each in found}
    (cost,) = costs if len(costs) == 1 else (None,)
    return None if cost is None else cost.value


def _figure(found: Sequence[Contestant], panels: list[Panel]) -> Figure:
    rows = math.ceil(len(panels) / ACROSS)
    across = min(ACROSS, len(panels))
    strip = 0.35 * math.ceil((len(found) + 1) / 4) + 0.2
    height = 3.9 * rows + strip
    figure = Figure(
        figsize=(4.4 * across + 0.4, height),
        dpi=110,
        layout=ConstrainedLayoutEngine(rect=(0, strip / height, 1, 1 - strip / height)),
    )
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, across, squeeze=False, sharey=True)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw(axes, panel, found)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for line in grid:
        line[0].set_ylabel("test accuracy, %", color=INK)
    known: dict[str, Any] = {}
    for axes in grid.flat:
        known |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(list(known.values()), list(known), loc="lower left", ncols=4, frameon=False, fontsize=11)
    return figure


def _draw(axes: Axes, panel: Panel, found: Sequence[Contestant]) -> None:
    energies = panel.energies
    means = [100 * math.fsum(each.accuracies) / len(each.accuracies) for each in found]
    for index, (each, energy, mean) in enumerate(zip(found, energies, means, strict=True)):
        spread = [100 * accuracy for accuracy in each.accuracies]
        looks: dict[str, Any] = {"color": COLOURS[index % len(COLOURS)]}
        axes.plot(
            [energy.low, energy.high], [mean, mean], "|-", linewidth=1.4, alpha=0.6, markersize=9, **looks
        )
        axes.plot([energy.value] * 2, [min(spread), max(spread)], linewidth=1, **looks)
        marker = MARKERS[(index + index // len(COLOURS)) % len(MARKERS)]  # a colour's second turn has another
        axes.plot([energy.value], [mean], marker, markersize=8, label=each.label, **looks)
    front = front_of([(energy.value, mean) for energy, mean in zip(energies, means, strict=True)])
    axes.plot(*zip(*front, strict=True), color=SOFT, linewidth=1, linestyle="--", zorder=0)
    if panel.ann_nj is not None:
        axes.axvline(panel.ann_nj, color=SOFT, linewidth=1.2, linestyle=":", label="the same without spikes")
    axes.set_title(panel.name, fontsize=13, color=INK, loc="left")
    axes.set_xlabel("dynamic energy an inference, nJ", color=INK)
    axes.grid(color="#dddddd", linewidth=0.7, zorder=-1)


def front_of(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points that no other beats in both, by energy.

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
