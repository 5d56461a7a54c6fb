"""How forgiving a shape is: on which share of widths and learning rates it comes close to the best."""

from collections.abc import Mapping

import numpy as np

from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series
from sgbench.plots.figure import charts_figure
from sgbench.statistics.forgiving import Forgiving, forgiving_line, forgiving_plane
from sgbench.statistics.pairs import Floats
from sgbench.study_runner.cells import Cell, rounded, task_reference
from study.reporting.evidence import StudyEvidence
from study.reporting.pages import regime_map, tuning
from study.reporting.pages.text import StudyPage, StudyPicture, few, interval, table
from study.reporting.run_table import SHAPES, RunTable, points_of, run_table

NAME = "forgiving.md"
TITLE = "Which shape when you cannot tune?"
TOLERANCE_POINTS = 2.0
PERCENT = 100


def page(evidence: StudyEvidence) -> StudyPage:
    """Write the page: shares of widths, and of widths and learning rates, on which a shape is close to the best."""
    if not evidence.stored("A2"):
        return StudyPage(NAME, TITLE, (evidence.not_stored("A2"),))
    runs = {task: line_table(evidence, task) for task in evidence.loaded.study.blocks["A2"].tasks}
    lines = {task: _line(of_task) for task, of_task in runs.items()}
    known = {task: shares for task, shares in lines.items() if shares}
    varied = evidence.tasks_like(*tuning.LEARNING_RATE_TASKS)
    planes = {task: _plane(evidence, task) for task in varied}
    planes = {task: shares for task, shares in planes.items() if shares}
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
    parts += one_setting_section(evidence, {task: runs[task] for task in known}, within_points=TOLERANCE_POINTS)
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
    """Draw the share of widths that are close to the best, a row a shape."""
    points = []
    for row, result in enumerate(shares.values()):
        low, high = (result.share if end is None else end for end in (result.low, result.high))
        points.append(ChartPoint(PERCENT * result.share, row, x_ends=(PERCENT * low, PERCENT * high)))
    share = ChartAxis("share of widths, %", ends=(-4, 104))
    return Chart(title, share, ChartAxis(names=tuple(shares)), (Series("", tuple(points)),))


def _message(known: dict[str, dict[str, Forgiving]]) -> str:
    """Say which shape forgives a wrong width most and which least."""
    means = {shape: float(np.mean([shares[shape].share for shares in known.values()])) for shape in SHAPES}
    best, worst = max(means, key=lambda shape: means[shape]), min(means, key=lambda shape: means[shape])
    return (
        f"Without tuning, {best} is close to the best on {PERCENT * means[best]:.0f} % of the width axis and "
        f"{worst} on {PERCENT * means[worst]:.0f} %, on average over {len(known)} tasks."
    )


def _table(name: str, known: dict[str, dict[str, Forgiving]]) -> str:
    rows = [[task, *(_share_text(shares[shape]) for shape in SHAPES)] for task, shares in known.items()]
    return table([f"{name}, %", *SHAPES], rows)


def _share_text(result: Forgiving) -> str:
    low, high = (None if end is None else PERCENT * end for end in (result.low, result.high))
    return interval(PERCENT * result.share, low, high, 0)


LISTED = 8
SETTINGS = [(shape, width) for shape in SHAPES for width in regime_map.WIDTHS]


def one_setting_section(evidence: StudyEvidence, runs: Mapping[str, RunTable], *, within_points: float) -> list[str]:
    """Write how many points settings lose to the best of each task, for the settings whose largest loss is least.

    `runs`: complete ones by task; rows are the shapes, and for each the widths of the map. `within_points`: of the
    best, to count as close.
    """
    study_tasks = evidence.loaded.study.tasks
    losses = {task: lost(points_of(study_tasks[task], of_task).mean(axis=1)) for task, of_task in runs.items()}
    order = in_order(losses)
    close = [index for index in order if largest(losses, index) <= within_points]
    named = [f"{_setting_name(index)} (at most {largest(losses, index):.1f})" for index in close]
    rows = []
    for index in order[:LISTED]:
        by_task = [f"{of_task[index]:.1f}" for of_task in losses.values()]
        rows.append([_setting_name(index), f"{largest(losses, index):.1f}", *by_task])
    left_out = {task: left_out_loss(losses, task) for task in losses} if len(losses) > 1 else {}
    parts = [
        "## One setting for every task",
        f"{few(len(close), len(SETTINGS))} shapes and widths come within {within_points:g} points of the best "
        f"on each of {len(losses)} tasks, at the task's own learning rate{': ' if close else ''}{', '.join(named)}.",
        table(["setting", "largest loss", *losses], rows),
        "Points of mean test accuracy below the best of all shapes and widths (per cent solved on tasks that are "
        "solved or not); the settings that lose least on the task where they lose most. They are chosen and "
        "scored on the same seeds, and no hypothesis is about them.",
    ]
    if left_out:
        texts = ", ".join(f"{task} {loss:.1f} ({_setting_name(index)})" for task, (index, loss) in left_out.items())
        parts.append(f"Chosen without a task, the setting loses on that task: {texts}.")
    return parts


def lost(means: Floats) -> Floats:
    """Return how far each setting lies below the best one.

    >>> import numpy as np
    >>> lost(np.array([80.0, 92.0])).tolist()
    [12.0, 0.0]
    """
    return means.max() - means


def largest(losses: Mapping[str, Floats], index: int) -> float:
    """Return the largest loss of a setting over tasks."""
    return max(float(of_task[index]) for of_task in losses.values())


def in_order(losses: Mapping[str, Floats]) -> list[int]:
    """Sort settings by their largest loss; of equal ones the first is first.

    >>> import numpy as np
    >>> in_order({"T1": np.array([0.0, 1.0, 5.0]), "T4": np.array([9.0, 2.0, 0.0])})
    [1, 2, 0]
    """
    count = len(next(iter(losses.values())))
    return sorted(range(count), key=lambda index: largest(losses, index))


def left_out_loss(losses: Mapping[str, Floats], task: str) -> tuple[int, float]:
    """Return the index of the setting that the other tasks choose, and what it loses on this one."""
    index = in_order({name: of_task for name, of_task in losses.items() if name != task})[0]
    return index, float(losses[task][index])


def _setting_name(index: int) -> str:
    shape, width = SETTINGS[index]
    return f"{shape} at width {width:g}"
