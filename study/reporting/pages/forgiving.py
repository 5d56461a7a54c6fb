"""How forgiving a shape is: on which share of widths and learning rates it comes close to the best."""

import numpy as np

from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series
from sgbench.plots.figure import charts_figure
from sgbench.statistics.forgiving import Forgiving, forgiving_line, forgiving_plane
from sgbench.study_runner.cells import Cell, rounded, task_reference
from study.reporting.evidence import StudyEvidence
from study.reporting.pages import one_setting, regime_map, tuning
from study.reporting.pages.shapes import SHAPES
from study.reporting.pages.text import StudyPage, StudyPicture, interval, table
from study.reporting.run_table import RunTable, run_table

NAME = "forgiving.md"
TITLE = "Which shape when you cannot tune?"
TOLERANCE_POINTS = 2.0
PERCENT = 100


def page(evidence: StudyEvidence) -> StudyPage:
    if not evidence.stored("A2"):
        return StudyPage(NAME, TITLE, (evidence.not_stored("A2"),))
    runs = {task: line_table(evidence, task) for task in evidence.loaded.study.blocks["A2"].tasks}
    lines = {task: _line(of) for task, of in runs.items()}
    known = {task: shares for task, shares in lines.items() if shares}
    varied = evidence.tasks_like(*tuning.LEARNING_RATE_TASKS)
    planes = {task: shares for task in varied if (shares := _plane(evidence, task))}
    lacking = [task for task, shares in lines.items() if not shares]
    parts = [f"Tasks of which not all cells are stored: {', '.join(lacking)}."] if lacking else []
    if not known:
        return StudyPage(NAME, TITLE, tuple(parts))
    panels = [_panel(evidence.title(task), shares) for task, shares in known.items()]
    picture = StudyPicture(
        "forgiving.png",
        "Share of the width axis on which each shape comes within 2 points of the best, by task.",
        panels,
        lambda: charts_figure(Charts("", tuple(panels)), columns=4, panel=(2.7, 0)),
    )
    parts += [
        _message(known),
        picture.markdown,
        "F4. Share of the logarithmic width axis, 0.02 to 4 thresholds, on which the mean validation accuracy is "
        "at most 2 points below the best of all shapes and widths. A line reaches from the share that is shown "
        "to be close to the share that is not shown to be far.",
        _table("F", known),
    ]
    if planes:
        parts += ["The same as a share of cells of width and learning rate:", _table("G", planes)]
    parts += one_setting.section(evidence, {task: runs[task] for task in known}, within_points=TOLERANCE_POINTS)
    return StudyPage(NAME, TITLE, tuple(parts), (picture,))


def line_table(evidence: StudyEvidence, task: str) -> RunTable:
    """Tabulate the runs of each shape by width at the task's learning rate, rows in this order."""
    cells: list[Cell] = [{"surrogate": shape, "width_fwhm": width} for shape in SHAPES for width in regime_map.WIDTHS]
    seeds = evidence.loaded.study.blocks["A2"].seeds.values
    return run_table(evidence.scores, task, "map", cells, seeds, start="A2")


def _line(runs: RunTable) -> dict[str, Forgiving]:
    """Return F, the share of widths close to the best, of each shape; nothing where a run is missing."""
    if not runs.complete:
        return {}
    scores = runs.validation.reshape(len(SHAPES), len(regime_map.WIDTHS), -1)
    return dict(zip(SHAPES, forgiving_line(scores, regime_map.WIDTHS, tolerance=TOLERANCE_POINTS), strict=True))


def plane_table(evidence: StudyEvidence, task: str) -> RunTable:
    """Tabulate the runs of each shape by width and learning rate, rows in this order."""
    study = evidence.loaded.study
    rate = float(task_reference(study, "A2", task, evidence.scores.settled)["optimizer.lr"] or 0)
    cells: list[Cell] = [
        {"surrogate": shape, "width_fwhm": width, "optimizer.lr": rate if factor == 1 else rounded(rate * factor)}
        for shape in SHAPES
        for width in tuning.WIDTHS
        for factor in tuning.FACTORS
    ]
    return run_table(evidence.scores, task, "map", cells, study.blocks["A2"].seeds.values, start="A2")


def _plane(evidence: StudyEvidence, task: str) -> dict[str, Forgiving]:
    """Return G, the share of widths and rates close to the best, of each shape; nothing if runs are missing."""
    runs = plane_table(evidence, task)
    if not runs.complete:
        return {}
    scores = runs.validation.reshape(len(SHAPES), len(tuning.WIDTHS), len(tuning.FACTORS), -1)
    return dict(zip(SHAPES, forgiving_plane(scores, tolerance=TOLERANCE_POINTS), strict=True))


def _panel(title: str, shares: dict[str, Forgiving]) -> Chart:
    points = []
    for row, one in enumerate(shares.values()):
        ends = (PERCENT * _end(one.low, one), PERCENT * _end(one.high, one))
        points.append(ChartPoint(PERCENT * one.share, row, x_ends=ends))
    share = ChartAxis("share of widths, %", ends=(-4, 104))
    return Chart(title, share, ChartAxis(names=tuple(shares)), (Series("", tuple(points)),))


def _end(end: float | None, one: Forgiving) -> float:
    return one.share if end is None else end


def _message(known: dict[str, dict[str, Forgiving]]) -> str:
    means = {shape: float(np.mean([shares[shape].share for shares in known.values()])) for shape in SHAPES}
    best, worst = max(means, key=lambda shape: means[shape]), min(means, key=lambda shape: means[shape])
    return (
        f"Without tuning, {best} is close to the best on {PERCENT * means[best]:.0f} % of the width axis and "
        f"{worst} on {PERCENT * means[worst]:.0f} %, on average over {len(known)} tasks."
    )


def _table(name: str, known: dict[str, dict[str, Forgiving]]) -> str:
    rows = [[task, *(_said(shares[shape]) for shape in SHAPES)] for task, shares in known.items()]
    return table([f"{name}, %", *SHAPES], rows)


def _said(one: Forgiving) -> str:
    ends = [None if end is None else PERCENT * end for end in (one.low, one.high)]
    return interval(PERCENT * one.share, ends[0], ends[1], 0)
