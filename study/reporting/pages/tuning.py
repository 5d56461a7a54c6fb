"""How to tune: where in width and learning rate each shape is close to the best."""

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
from sgbench.plots.figure import charts_figure
from sgbench.plots.style import BAND, INK, SOFT, VERMILION
from sgbench.statistics.tuning_curves import Trial, best_band, expected_best
from sgbench.study_runner.cells import Cell, rounded, task_reference
from sgbench.study_runner.scores import Score
from study.reporting.evidence import StudyEvidence
from study.reporting.pages.text import StudyPage, StudyPicture, few, table
from study.reporting.run_table import SHAPES

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
    """Draw heat maps of validation accuracy over width and learning rate, a panel a shape."""
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
        image = _heat_panel(axes, maps, maps.panels[position], scale, best)
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


def _heat_panel(axes: Axes, maps: HeatMaps, panel: HeatPanel, scale: Normalize, best: float) -> AxesImage:
    """Draw a shape's heat map; cells close to the best of all panels get a frame."""
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


NAME = "tuning.md"
TITLE = "How to tune width and learning rate together"
LEARNING_RATE_TASKS = ("T2d4", "T4", "T6")
"""Tasks of which the map varies the learning rate too, and those that are like them."""
WIDTHS = (0.05, 0.2, 0.5, 1.0, 4.0)
FACTORS = (0.25, 1.0, 4.0)
TRIED = (1, 5, 10, 15)
ASIDE = 0.12  # between shapes, whose bands would hide each other [settings]
TOLERANCE_POINTS = 2.0
CAPTION = (
    "Mean validation accuracy over seeds on {title}, one scale for all shapes. A star marks what lies within 2 "
    "points of the best cell; a failed run counts as guessing."
)
BEST_OF = (
    "F6. Expected test accuracy of the setting that validation selects among so many drawn at random from the grid "
    "above, means over seeds; a failed run counts as guessing. Whiskers hold four fifths of bootstrap draws of "
    "settings: which of them a search happens to try."
)


def page(evidence: StudyEvidence) -> StudyPage:
    """Write the page on width and learning rate: heat maps, and what tuning buys."""
    if not evidence.stored("A2"):
        return StudyPage(NAME, TITLE, (evidence.not_stored("A2"),))
    parts = [
        "A cell is the mean validation accuracy over seeds at one width and one learning rate; a frame marks every "
        "cell within 2 points of the best cell of all shapes. A failed run counts as guessing."
    ]
    pictures, charts = [], {}
    for task in evidence.tasks_like(*LEARNING_RATE_TASKS):
        maps = _maps(evidence, task)
        if maps is None:
            parts.append(f"## {task}\n\nNot all of its cells are stored yet.")
            continue
        picture = StudyPicture(
            f"tuning_{task}.png",
            f"Validation accuracy of six shapes over width and learning rate on {evidence.title(task)}.",
            maps,
            lambda maps=maps: heat_figure(maps),
        )
        pictures.append(picture)
        caption = CAPTION.format(title=evidence.title(task))
        charts[f"width and learning rate: {evidence.title(task)}"] = heat_charts(maps, caption)
        parts += [f"## {task}: {evidence.title(task)}", _message(maps), picture.markdown, _best(maps)]
    lines = [
        panel for task in evidence.tasks_like(*LEARNING_RATE_TASKS) if (panel := _expected(evidence, task)) is not None
    ]
    if lines:
        picture = StudyPicture(
            "tuning_best_of.png",
            "Expected test accuracy of the best of n settings of width and learning rate, a line a shape.",
            lines,
            lambda: charts_figure(Charts("", tuple(lines)), columns=3, panel=(4.4, 4.0)),
        )
        pictures.append(picture)
        rows = [
            [panel.title, *(f"{line.points[0].y:.1f} to {line.points[-1].y:.1f}" for line in panel.series)]
            for panel in lines
        ]
        bought = table(["task", *(line.name for line in lines[0].series)], rows)
        tried = f"Test accuracy of one setting, and of the best of {len(lines[0].series[0].points)}, in percent."
        parts += ["## What tuning buys", tried, bought, picture.markdown, BEST_OF]
    return StudyPage(NAME, TITLE, tuple(parts), tuple(pictures), charts)


def _expected(evidence: StudyEvidence, task: str) -> Chart | None:
    """Compute the expected best of n settings of each shape; None where a setting has no run."""
    lines = []
    for shape in SHAPES:
        trials = []
        for value in _rates(evidence, task):
            for width in WIDTHS:
                runs = _runs(evidence, task, shape, width, value)
                if not runs:
                    return None
                validation, test = (
                    float(np.mean([getattr(run, name) for run in runs])) for name in ("validation", "accuracy")
                )
                trials.append(Trial(validation, test, None, len(runs), sum(run.failed for run in runs)))
        aside = ASIDE * (len(lines) - (len(SHAPES) - 1) / 2)
        curve = zip(expected_best(trials)[1], *best_band(trials, np.random.default_rng(0)), strict=True)
        points = (
            ChartPoint(tried + aside, float(score), y_ends=(float(low), float(high)) if tried in TRIED else None)
            for tried, (score, low, high) in enumerate(curve, start=1)
        )
        lines.append(Series(shape, tuple(points), is_line=True))
    tried = ChartAxis("settings tried", ticks=TRIED)
    return Chart(evidence.title(task), tried, ChartAxis("test accuracy, %", is_error=True), tuple(lines))


def _rates(evidence: StudyEvidence, task: str) -> list[float]:
    """Return the learning rates that were tried: factors of the settled one."""
    reference = task_reference(evidence.loaded.study, "A2", task, evidence.scores.settled)
    rate = float(reference["optimizer.lr"] or 0)
    return [rate if factor == 1 else rounded(rate * factor) for factor in FACTORS]


def _runs(evidence: StudyEvidence, task: str, shape: str, width: float, rate: float) -> list[Score]:
    cell: Cell = {"surrogate": shape, "width_fwhm": width, "optimizer.lr": rate}
    return list(evidence.scores.cell(task, "map", cell, start="A2").values())


def _maps(evidence: StudyEvidence, task: str) -> HeatMaps | None:
    """Return a task's mean validation accuracies by shape, learning rate and width; None if nothing is stored."""
    rates = _rates(evidence, task)
    panels = []
    for shape in SHAPES:
        lines = []
        for value in rates:
            several = [_runs(evidence, task, shape, width, value) for width in WIDTHS]
            lines.append(tuple(float(np.mean([run.validation for run in runs])) if runs else None for runs in several))
        panels.append(HeatPanel(shape, tuple(lines)))
    if not any(score is not None for panel in panels for line in panel.scores for score in line):
        return None
    return HeatMaps(WIDTHS, tuple(rates), tuple(panels), TOLERANCE_POINTS)


def _close(maps: HeatMaps, panel: HeatPanel) -> int:
    best = max(score for one in maps.panels for line in one.scores for score in line if score is not None)
    return sum(score is not None and score >= best - maps.tolerance for line in panel.scores for score in line)


def _message(maps: HeatMaps) -> str:
    """Say which shape is close to the best in most cells."""
    cells = len(maps.widths) * len(maps.rates)
    counts = {panel.title: _close(maps, panel) for panel in maps.panels}
    most = max(counts, key=lambda shape: counts[shape])
    others = ", ".join(f"{shape} {count}" for shape, count in counts.items() if shape != most)
    return f"{most} is close to the best in {few(counts[most], cells)} cells; {others}."


def _best(maps: HeatMaps) -> str:
    """Write the best cell of each shape."""
    rows = []
    for panel in maps.panels:
        scores = np.array(panel.scores, dtype=float)
        if np.isnan(scores).all():
            continue
        line, column = np.unravel_index(np.nanargmax(scores), scores.shape)
        rows.append(
            [panel.title, maps.widths[column], maps.rates[line], f"{scores[line, column]:.1f}", _close(maps, panel)]
        )
    return table(["shape", "best width", "best learning rate", "validation, %", "cells close to the best"], rows)
