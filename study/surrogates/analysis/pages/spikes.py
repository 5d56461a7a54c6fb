"""What accuracy costs in spikes: the front of each shape, and spikes at equal accuracy."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from sgbench.plots.error_axis import ErrorAxis
from sgbench.plots.style import GRID, INK, SOFT, look_of
from sgbench.statistics.spikes_at_accuracy import SpikeRatio, spike_ratio
from sgbench.study_runner.cells import Cell
from sgbench.tables import decimal_text
from study.reporting.pages.regime_map import PERCENT, WIDTHS, estimate
from study.reporting.pages.text import StudyPage, StudyPicture, table
from study.reporting.run_table import SHAPES, RunTable, run_table
from study.surrogates.analysis.comparisons import REFERENCE
from study.surrogates.analysis.evidence import SurrogateEvidence

NAME = "spikes.md"
TITLE = "What does accuracy cost in spikes?"
STRENGTHS = (0.0, 0.001, 0.01, 0.1, 1.0, 10.0)
BOUND_WIDTHS = (0.2, 1.0)
BOUND_SHAPES = ("triangle", "atan", "log_abs")
BELOW_BEST_POINTS = 2.0
BOUND_BLOCK = "C2"
"""Block of the study with a cost of activity."""
PANELS_A_PICTURE = 3


TICK_GAP = 0.08


@dataclass(frozen=True)
class SpikeMark:
    """Describes one setting: spikes an inference and accuracy in %, means over seeds with their intervals."""

    spikes: float
    accuracy: float
    of_spikes: tuple[float, float] | None = None
    of_accuracy: tuple[float, float] | None = None


@dataclass(frozen=True)
class SpikeSeries:
    """Describes one shape: its settings."""

    name: str
    marks: tuple[SpikeMark, ...]


@dataclass(frozen=True)
class SpikePanel:
    """Describes one task; `target` is the accuracy at which spikes are compared."""

    title: str
    target: float
    series: tuple[SpikeSeries, ...]


def spikes_figure(panels: Sequence[SpikePanel]) -> Figure:
    """Draw the panels side by side, with one legend above them."""
    figure = Figure(figsize=(1.0 + 4.6 * len(panels), 4.9), layout="constrained")
    grid: Any = figure.subplots(1, len(panels), squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=True):
        _panel_axes(axes, panel)
    grid.flat[0].set_ylabel("test accuracy, %\n(scale: log of the error)", fontsize=13, color=INK)
    figure.supxlabel("spikes an inference (scale: log)", fontsize=13, color=INK)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    columns = 4 if len(panels) > 1 else 2
    legend: Any = {"loc": "outside upper center", "ncols": columns, "frameon": False, "fontsize": 12}
    figure.legend(handles, labels, **legend)
    return figure


def front(marks: Sequence[SpikeMark]) -> list[SpikeMark]:
    """Select the settings that no other beats with as few spikes, from few spikes to many.

    >>> [mark.spikes for mark in front([SpikeMark(10, 80), SpikeMark(20, 70), SpikeMark(30, 90)])]
    [10, 30]
    """
    pareto: list[SpikeMark] = []
    for mark in sorted(marks, key=lambda mark: (mark.spikes, -mark.accuracy)):
        if not pareto or mark.accuracy > pareto[-1].accuracy:
            pareto.append(mark)
    return pareto


def _panel_axes(axes: Axes, panel: SpikePanel) -> None:
    """Draw one task: a mark with its intervals for each setting, and a line through the front of each shape."""
    axis = ErrorAxis()
    marks = [mark for series in panel.series for mark in series.marks]
    intervals = [end for mark in marks for end in mark.of_accuracy or ()]
    axis.frame(axes, "y", axis.limits([mark.accuracy for mark in marks], intervals), gap=TICK_GAP)
    axes.axhline(panel.target, color=SOFT, linestyle="--", linewidth=1.2, label="best minus 2 points", zorder=1)
    for position, series in enumerate(panel.series):
        shape = look_of(series.name, position)
        colour = shape["color"]
        spikes = [mark.spikes for mark in series.marks]
        accuracy = axis.clip([mark.accuracy for mark in series.marks])
        look: Any = {**shape, "s": 42, "zorder": 3}
        axes.scatter(spikes, accuracy, label=series.name, **look)
        best = front(series.marks)
        for mark in series.marks:
            thin: Any = {"color": colour, "linewidth": 1.0, "alpha": 0.6 if mark in best else 0.2, "zorder": 2}
            if mark.of_accuracy is not None:
                axes.vlines(mark.spikes, *axis.clip(mark.of_accuracy), **thin)
            if mark.of_spikes is not None:
                axes.hlines(axis.clip(mark.accuracy), *mark.of_spikes, **thin)
        steps = axis.clip([mark.accuracy for mark in best])
        axes.plot([mark.spikes for mark in best], steps, color=colour, linewidth=1.8, zorder=2)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_title(panel.title, fontsize=13, color=INK, parse_math=False)
    axes.tick_params(labelsize=12, colors=INK)
    axes.grid(color=GRID, linewidth=0.8, zorder=0)


def page(evidence: SurrogateEvidence) -> StudyPage:
    """Write the page from the block with a cost of activity, or from the map while that block is not stored."""
    source = BOUND_BLOCK if evidence.stored(BOUND_BLOCK) else "A2"
    if not evidence.stored(source):
        return StudyPage(NAME, TITLE, (evidence.not_stored(BOUND_BLOCK),))
    tasks = evidence.loaded.study.blocks[source].tasks
    shapes = BOUND_SHAPES if source == BOUND_BLOCK else SHAPES
    by_task = {task: {shape: settings_table(evidence, source, task, shape) for shape in shapes} for task in tasks}
    complete = {task: tables for task, tables in by_task.items() if all(runs.complete for runs in tables.values())}
    lacking = [task for task in tasks if task not in complete]
    panels, rows, sentences = [], [], []
    for task, tables in complete.items():
        target, ratios = ratios_to_reference(tables)
        panels.append(_panel(evidence.title(task), target, tables))
        rows += [_row(task, target, shape, ratio) for shape, ratio in ratios.items()]
        sentences.append(_sentence(task, target, ratios))
    kind = (
        "A mark is a shape at one width (0.2 or 1) with one of six costs of activity: the square of a layer's mean "
        "spikes a neuron times a strength from 0 to 10."
        if source == BOUND_BLOCK
        else f"Block {BOUND_BLOCK} is not stored yet: a mark is a shape at one width of the map, with no cost of "
        "activity."
    )
    parts = [f"Tasks of which not all cells are stored: {', '.join(lacking)}."] if lacking else []
    if not panels:
        return StudyPage(NAME, TITLE, tuple(parts))
    says = "Test accuracy against spikes an inference, a mark a setting and a line the front of each shape."
    groups = [panels[start : start + PANELS_A_PICTURE] for start in range(0, len(panels), PANELS_A_PICTURE)]
    pictures = tuple(
        StudyPicture(f"spikes_{number}.png", says, group, lambda group=group: spikes_figure(group))
        for number, group in enumerate(groups, start=1)
    )
    parts += [
        "\n".join(f"- {sentence}" for sentence in sentences),
        *(picture.markdown for picture in pictures),
        f"F5. {kind} A line joins the settings that no other of the shape beats with as few spikes. Means over "
        "seeds with intervals of 95 %; settings in which a run failed or sent no spike are left out.",
        "## Table 3: spikes at equal accuracy",
        f"Spikes that a shape needs for the best accuracy of the task minus {BELOW_BEST_POINTS:g} points, over "
        f"those of {REFERENCE}, with a jackknife interval of 95 % over seeds.",
        table(["task", "accuracy, %", "shape", "ratio", "low", "high"], rows),
    ]
    return StudyPage(NAME, TITLE, tuple(parts), pictures)


def settings_table(evidence: SurrogateEvidence, source: str, task: str, shape: str) -> RunTable:
    """Tabulate the runs of a shape in a block: by width and cost of activity, or by width alone."""
    cells: list[Cell] = [{"surrogate": shape, "width_fwhm": width} for width in WIDTHS]
    if source == BOUND_BLOCK:
        cells = [bounded(shape, width, strength) for width in BOUND_WIDTHS for strength in STRENGTHS]
    seeds = evidence.loaded.study.blocks[source].seeds.values
    return run_table(evidence.scores, task, "map", cells, seeds, start=source)


def bounded(shape: str, width_fwhm: float, strength: float) -> Cell:
    """Return the cell of a shape whose layers pay for the square of their mean spikes a neuron."""
    return {
        "surrogate": shape,
        "width_fwhm": width_fwhm,
        "regulariser": "activity_bounds",
        "regulariser.lower_strength": 0,
        "regulariser.upper_spikes": 0,
        "regulariser.upper_strength": strength,
    }


def _usable(runs: RunTable) -> NDArray[np.bool_]:
    """Mark the settings of which every run sent spikes, since others have no logarithm."""
    return np.array([bool(np.isfinite(row).all()) for row in runs.log_spikes], dtype=bool)


def _panel(title: str, target: float, tables: dict[str, RunTable]) -> SpikePanel:
    """Draw spikes against accuracy on a task, a series a shape."""
    series = []
    for shape, runs in tables.items():
        keep = _usable(runs)
        marks = [
            _mark(logs.tolist(), accuracy.tolist())
            for logs, accuracy in zip(runs.log_spikes[keep], runs.accuracy[keep], strict=True)
        ]
        if marks:
            series.append(SpikeSeries(shape, tuple(marks)))
    return SpikePanel(title, target, tuple(series))


def _mark(logs: list[float], accuracy: list[float]) -> SpikeMark:
    """Average a setting's runs: spikes in the logarithm, and accuracy on the logit, with intervals of 95 %."""
    spikes, score = estimate(logs), estimate([score / PERCENT for score in accuracy], scale="share")
    return SpikeMark(
        math.exp(spikes.value),
        PERCENT * score.value,
        (math.exp(spikes.low), math.exp(spikes.high)),
        (PERCENT * score.low, PERCENT * score.high),
    )


def ratios_to_reference(tables: dict[str, RunTable]) -> tuple[float, dict[str, SpikeRatio | None]]:
    """Return the accuracy at which spikes are compared, and each shape's spikes over those of the reference."""
    target = max(float(runs.accuracy.mean(axis=1).max()) for runs in tables.values()) - BELOW_BEST_POINTS
    return target, {shape: _ratio(tables, shape, target) for shape in tables if shape != REFERENCE}


def _ratio(tables: dict[str, RunTable], shape: str, target: float) -> SpikeRatio | None:
    """Compare the spikes of a shape with the reference's; None where one of them has no usable setting."""
    parts = []
    for name in (shape, REFERENCE):
        keep = _usable(tables[name])
        if not keep.any():
            return None
        parts += [tables[name].accuracy[keep], np.exp(tables[name].log_spikes[keep])]
    return spike_ratio(*parts, target=target)


def _row(task: str, target: float, shape: str, ratio: SpikeRatio | None) -> list[str | float | None]:
    if ratio is None or not math.isfinite(ratio.ratio) or ratio.ratio == 0:
        return [task, decimal_text(target, 1), shape, _not_reached(ratio), None, None]
    return [task, decimal_text(target, 1), shape, decimal_text(ratio.ratio, 2), ratio.low, ratio.high]


def _not_reached(ratio: SpikeRatio | None) -> str:
    """Say who does not reach the accuracy at which spikes are compared; a ratio of 0 or NaN says so."""
    if ratio is None:
        return "no setting that sends spikes in every run"
    if math.isnan(ratio.ratio):
        return "neither reaches it"
    return f"{REFERENCE} does not reach it" if ratio.ratio == 0 else "does not reach it"


def _sentence(task: str, target: float, ratios: dict[str, SpikeRatio | None]) -> str:
    """Name the shapes whose interval of spikes over those of the reference excludes 1."""
    different = []
    for shape, ratio in ratios.items():
        if ratio is not None and ratio.low is not None and ratio.high is not None and not ratio.low <= 1 <= ratio.high:
            ends = f"{ratio.low:.2f} to {ratio.high:.2f}"
            different.append(f"{shape} needs {ratio.ratio:.2f} times the spikes ({ends})")
    shapes = ", ".join(different) or "no shape is shown to need more spikes or fewer"
    return f"**{task}**, at {target:.1f} % and compared with {REFERENCE}: {shapes}."
