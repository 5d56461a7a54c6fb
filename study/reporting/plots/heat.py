"""Heat maps of mean validation accuracy over width and learning rate, a panel a shape."""

import math
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series, shade
from sgbench.plots.style import BAND, INK, SOFT, VERMILION

COLUMNS = 3
DARK = 0.18  # luminance, below which white is read better than black
LACKING: Any = {"facecolor": BAND, "edgecolor": SOFT, "hatch": "////", "linewidth": 0}


@dataclass(frozen=True)
class HeatPanel:
    """Describes one shape: scores by learning rate and width [rates, widths], None where there is no run."""

    title: str
    scores: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class HeatMaps:
    """Holds all shapes of one task; cells within `tolerance` of the best of all are framed."""

    widths: tuple[float, ...]
    rates: tuple[float, ...]
    panels: tuple[HeatPanel, ...]
    tolerance: float


def heat_figure(maps: HeatMaps) -> Figure:
    columns = min(COLUMNS, len(maps.panels))
    rows = math.ceil(len(maps.panels) / columns)
    wide, high = 0.75 * len(maps.widths) + 0.5, 0.62 * len(maps.rates) + 0.9
    figure = Figure(figsize=(columns * wide + 1.9, rows * high + 0.7), layout="constrained")
    grid: Any = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    known = [score for panel in maps.panels for row in panel.scores for score in row if score is not None]
    best = max(known)
    scale = Normalize(min(known), best if best > min(known) else best + 1)
    image = None
    for position, axes in enumerate(grid.flat):
        if position >= len(maps.panels):
            axes.set_axis_off()
            continue
        image = _panel(axes, maps, maps.panels[position], scale, best)
        if position + columns >= len(maps.panels):
            axes.set_xlabel("width (thresholds)", fontsize=13, color=INK)
            axes.tick_params(labelbottom=True)
        if position % columns == 0:
            axes.set_ylabel("learning rate", fontsize=13, color=INK)
    figure.legend(
        [Rectangle((0, 0), 1, 1, fill=False, edgecolor=VERMILION, linewidth=3)],
        [f"within {maps.tolerance:g} points of the best of all panels"],
        loc="outside upper center",
        frameon=False,
        fontsize=12,
    )
    if image is not None:
        bar = figure.colorbar(image, ax=grid, pad=0.02, aspect=28)
        bar.set_label("validation accuracy, %", fontsize=13, color=INK)
    return figure


def _panel(axes: Axes, maps: HeatMaps, panel: HeatPanel, scale: Normalize, best: float) -> AxesImage:
    scores = np.array(panel.scores, dtype=float)
    image = axes.imshow(scores, cmap="viridis", norm=scale, origin="lower", aspect="auto")
    for (line, column), score in np.ndenumerate(scores):
        if math.isnan(score):
            axes.add_patch(Rectangle((column - 0.5, line - 0.5), 1, 1, **LACKING))
            continue
        red, green, blue, _ = mpl.colormaps["viridis"](scale(score))
        luminance = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2  # WCAG 2, its power law alone
        colour = "white" if luminance < DARK else "black"
        axes.text(column, line, f"{score:.0f}", ha="center", va="center", fontsize=12, color=colour, zorder=4)
        if score >= best - maps.tolerance:
            frame: Any = {"fill": False, "edgecolor": VERMILION, "linewidth": 3, "zorder": 3}
            axes.add_patch(Rectangle((column - 0.45, line - 0.45), 0.9, 0.9, **frame))
    axes.set_xticks(range(len(maps.widths)), [f"{width:g}" for width in maps.widths])
    axes.set_yticks(range(len(maps.rates)), [f"{rate:.3g}" for rate in maps.rates])
    axes.set_title(panel.title, fontsize=13, color=INK, parse_math=False)
    axes.tick_params(length=0, labelsize=12, colors=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return image


def heat_charts(maps: HeatMaps, caption: str) -> Charts:
    """Build the charts of the heat maps, a panel a shape on one scale; a star marks what is close to the best."""
    known = [score for panel in maps.panels for row in panel.scores for score in row if score is not None]
    low, best = min(known), max(known)
    rates = maps.rates[::-1]

    def chart(panel: HeatPanel) -> Chart:
        points = tuple(
            ChartPoint(
                x,
                y,
                f"{panel.title} at width {maps.widths[x]:g} and learning rate {rates[y]:.3g}: {score:.4g} %",
                label=f"{score:.0f}{'*' if score >= best - maps.tolerance else ''}",
                shade=shade(score, low, best),
            )
            for y, row in enumerate(panel.scores[::-1])
            for x, score in enumerate(row)
            if score is not None
        )
        x_axis = ChartAxis("width (thresholds)", names=tuple(f"{width:g}" for width in maps.widths))
        y_axis = ChartAxis("learning rate", names=tuple(f"{rate:.3g}" for rate in rates))
        return Chart(panel.title, x_axis, y_axis, (Series("validation accuracy", points),))

    return Charts(caption, tuple(map(chart, maps.panels)))
