"""What accuracy costs in spikes: the front of each shape, and spikes at equal accuracy."""

import math

import numpy as np
from numpy.typing import NDArray

from sgbench.statistics.spikes_at_accuracy import SpikeRatio, spike_ratio
from sgbench.study_runner.cells import Cell
from sgbench.tables import decimal_text
from study.reporting.pages.regime_map import PERCENT, WIDTHS, estimate
from study.reporting.pages.shapes import SHAPES
from study.reporting.pages.text import StudyPage, StudyPicture, table
from study.reporting.run_table import RunTable, run_table
from study.surrogates.analysis.comparisons import REFERENCE
from study.surrogates.analysis.evidence import SurrogateEvidence
from study.surrogates.analysis.plots.spikes import SpikeMark, SpikePanel, SpikeSeries, spikes_figure

NAME = "spikes.md"
TITLE = "What does accuracy cost in spikes?"
STRENGTHS = (0.0, 0.001, 0.01, 0.1, 1.0, 10.0)
BOUND_WIDTHS = (0.2, 1.0)
BOUND_SHAPES = ("triangle", "atan", "log_abs")
BELOW_BEST_POINTS = 2.0
BOUND_BLOCK = "C2"


def page(evidence: SurrogateEvidence) -> StudyPage:
    source = BOUND_BLOCK if evidence.stored(BOUND_BLOCK) else "A2"
    if not evidence.stored(source):
        return StudyPage(NAME, TITLE, (evidence.not_stored(BOUND_BLOCK),))
    tasks = evidence.loaded.study.blocks[source].tasks
    shapes = BOUND_SHAPES if source == BOUND_BLOCK else SHAPES
    by_task = {task: {shape: settings_table(evidence, source, task, shape) for shape in shapes} for task in tasks}
    complete = {task: tables for task, tables in by_task.items() if all(one.complete for one in tables.values())}
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
    pictures = tuple(
        StudyPicture(
            f"spikes_{index + 1}.png",
            "Test accuracy against spikes an inference, a mark a setting and a line the front of each shape.",
            group,
            lambda group=group: spikes_figure(group),
        )
        for index, group in enumerate([panels[start : start + 3] for start in range(0, len(panels), 3)])
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
    spikes, score = estimate(logs), estimate([one / PERCENT for one in accuracy], scale="share")
    return SpikeMark(
        math.exp(spikes.value),
        PERCENT * score.value,
        (math.exp(spikes.low), math.exp(spikes.high)),
        (PERCENT * score.low, PERCENT * score.high),
    )


def ratios_to_reference(tables: dict[str, RunTable]) -> tuple[float, dict[str, SpikeRatio | None]]:
    target = max(float(one.accuracy.mean(axis=1).max()) for one in tables.values()) - BELOW_BEST_POINTS
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
    if ratio is None:
        return "no setting that sends spikes in every run"
    if math.isnan(ratio.ratio):
        return "neither reaches it"
    return f"{REFERENCE} does not reach it" if ratio.ratio == 0 else "does not reach it"


def _sentence(task: str, target: float, ratios: dict[str, SpikeRatio | None]) -> str:
    shown = []
    for shape, ratio in ratios.items():
        if ratio is None or ratio.low is None or ratio.high is None:
            continue
        if ratio.high < 1 or ratio.low > 1:
            ends = f"{ratio.low:.2f} to {ratio.high:.2f}"
            shown.append(f"{shape} needs {ratio.ratio:.2f} times the spikes ({ends})")
    said = ", ".join(shown) or "no shape is shown to need more spikes or fewer"
    return f"**{task}**, at {target:.1f} % and compared with {REFERENCE}: {said}."
