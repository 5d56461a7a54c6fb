"""What the first study's records say of passing steps: points lost by steps before training."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from pathlib import Path
from statistics import fmean, median
from typing import NamedTuple

from sgbench.diagnosis.advice import Level, LevelBorders
from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series, value_text
from sgbench.records.calibration import Reset
from sgbench.study_runner.definition import load_study
from sgbench.study_runner.store import StoreEntry
from sgbench.tables import NONE
from study.passing_steps.analysis import activity, spending
from study.passing_steps.analysis.evidence import FIRST, SHAPES, TASKS, WIDTHS, TaskEvidence, read_evidence, read_runs
from study.passing_steps.analysis.targets import chosen_target, without_each
from study.reporting.pages.text import Item, StudyPage, table
from study.reporting.run_table import SHAPES as ALL_SHAPES

BORDER_CANDIDATES = (0.25, 0.35, 0.5, 0.7, 1, 1.4, 2, 2.8, 4, 5.7, 8, 11, 16, 22, 32, 45, 64, 90)
FINE, FAILS = 0.9, 0.5
"""Shares of the way from guessing to the task's best cell: from the first on fine, below the second failed."""
LEVELS_BEST_FIRST: tuple[Level, ...] = ("fine", "short dependencies only", "fails")
Cells = Sequence[tuple[float, Level]]
"""Passing steps of a cell, and the level that its runs reached."""


class LevelErrors(NamedTuple):
    """Holds how often borders err on a task that did not fix them: cells, wrong ones, wrong by two levels."""

    cells: int
    wrong: int
    far: int


def level_of(accuracy: float, best: float, guess: float) -> Level:
    """Return the level that a cell has reached, by its way from guessing to the best cell.

    >>> [level_of(accuracy, 90.0, 10.0) for accuracy in (82.0, 81.0, 50.0, 49.0)]
    ['fine', 'short dependencies only', 'short dependencies only', 'fails']
    """
    share = (accuracy - guess) / (best - guess)
    return "fine" if share >= FINE else "fails" if share < FAILS else "short dependencies only"


def cells_of(task: TaskEvidence, best: float, *, by_width: bool = False) -> Cells:
    """Return passing steps, or the width, of each cell with the level that its accuracy reached."""
    return [
        (place[1] if by_width else task.steps[place], level_of(accuracy, best, task.guess))
        for place, accuracy in task.accuracy.items()
    ]


def fixed_borders(tasks: Sequence[Cells], candidates: Sequence[float] = BORDER_CANDIDATES) -> LevelBorders:
    """Choose the borders with the least mean share of wrong levels over tasks, of equal ones the first."""

    def error(borders: LevelBorders) -> float:
        return fmean(fmean(borders.level(number) != level for number, level in cells) for cells in tasks)

    places = product((0.0, *candidates), candidates, candidates)
    rising = (LevelBorders(*place) for place in places if place[0] < place[1] <= place[2])
    return min(rising, key=lambda borders: round(error(borders), 9))


def judged(borders: LevelBorders, cells: Cells) -> LevelErrors:
    """Count the cells whose predicted level is another than theirs, and those two levels off."""
    apart = [
        abs(LEVELS_BEST_FIRST.index(borders.level(number)) - LEVELS_BEST_FIRST.index(level)) for number, level in cells
    ]
    return LevelErrors(len(apart), sum(one > 0 for one in apart), sum(one > 1 for one in apart))


def level_text(
    detached: Mapping[str, TaskEvidence], attached: Mapping[str, TaskEvidence], titles: Sequence[str]
) -> list[str]:
    """Write the borders, and how often they err on each task that is left out."""
    best = {name: max(task.best, attached[name].best) for name, task in detached.items()}
    known = {name: cells_of(task, best[name]) for name, task in detached.items()}
    widths = {name: cells_of(task, best[name], by_width=True) for name, task in detached.items()}
    rows, counts = [], {"steps": [0, 0, 0], "widths": [0, 0, 0]}
    for title, name in zip(titles, known, strict=True):
        row = [title]
        for kind, of, candidates in (("steps", known, BORDER_CANDIDATES), ("widths", widths, WIDTHS)):
            borders = fixed_borders([cells for other, cells in of.items() if other != name], candidates)
            found = judged(borders, of[name])
            counts[kind] = [sum(pair) for pair in zip(counts[kind], found, strict=True)]
            row.append(f"{found.wrong} of {found.cells} ({found.far} by two levels)")
            if kind == "steps":
                row.append(", ".join(f"{border:g}" for border in borders))
        rows.append(row)
    borders = fixed_borders(list(known.values()))
    cells, wrong, far = counts["steps"]
    return [
        "Fine is a cell that comes nine tenths of the way from guessing to the task's best cell at either reset. "
        "One that does not come half the way fails. Between them it learns in part, here called short dependencies "
        f"only. By all five tasks fine is {borders.least:g} to {borders.fine:g} passing steps, and above "
        f"{borders.most:g} a network fails. `sgbench diagnose` says so of recurrent networks whose reset is "
        "detached.",
        f"Judged on a task that did not fix the borders, the level is wrong for {wrong} of {cells} cells, for "
        f"{far} of them by two levels. By width it is wrong for {counts['widths'][1]}.{_unlearnt(known, titles)}",
        table(["task left out", "wrong by passing steps", "borders", "wrong by width"], rows),
        "With the reset attached nearly all narrow cells are fine, so that there is little to tell.",
    ]


def _unlearnt(known: Mapping[str, Cells], titles: Sequence[str]) -> str:
    """Name the tasks on which every cell fails; empty if there are none."""
    found = [
        title
        for title, cells in zip(titles, known.values(), strict=True)
        if all(level == "fails" for _, level in cells)
    ]
    return f" Every cell fails on: {'; '.join(found)}." if found else ""


NAME = "first_study.md"
TITLE = "What the first study's records say of passing steps"
BORDERS = (0.0, 0.5, 2.0, 4.0, 8.0, 16.0, math.inf)
"""Of the ranges of passing steps."""
LOST = "points of validation accuracy lost"
CAPTION = (
    "Points lost to the best cell of the task at that reset, against passing steps measured before training; a "
    "mark a shape and a width. Found after the runs, on the records that raised the question."
)
Evidence = Mapping[str, TaskEvidence]


def page_of(root: Path, stored: Sequence[StoreEntry]) -> StudyPage:
    """Write the page of what the first study's records say on the questions of this one."""
    study = load_study(FIRST).study
    titles = [study.tasks[task].title for task in TASKS]
    all_runs = read_runs(root, study, stored, ALL_SHAPES)
    of_all = read_evidence(root, all_runs)
    runs = {place: found for place, found in all_runs.items() if place[2] in SHAPES}
    evidence = read_evidence(root, runs)
    tuned = spending.read_tuned(root)
    ways = spending.ways(evidence, runs, tuned, spending.read_defaults(root))
    picture = spending.picture(ways)
    parts = (
        "Found after the runs, on the records that raised the question; so nothing here is a result. The "
        "[registration](../preregistration_passing_steps.md) says what is tested on tasks that nobody had run.",
        "## Points lost by passing steps",
        "A cell is a shape and a width at a peak of 1. Its passing steps are measured in one forward pass before "
        "training. Lost are points of validation accuracy to the best cell of the task at that reset: the median "
        "and the largest, with the number of cells. Detached: six shapes. Attached: atan and triangle, five seeds "
        "on letters and one or two elsewhere.",
        *(part for reset in evidence for part in _by_steps(reset, of_all[reset], evidence[reset], titles)),
        "## Three levels before training",
        *level_text(of_all["detached"], of_all["attached"], titles),
        "## A cost of activity",
        *activity.text(root, study),
        "## Runs spent, points lost",
        "Lost are points of test accuracy to the cell that is best on validation, of atan and triangle at both "
        "resets. A setting is chosen by the validation accuracy of one seed and scored on the others, each seed in "
        "turn. What is chosen without a run is chosen without the task that it is scored on. The learning rate is "
        "the one that the first study had settled for the task.",
        picture.markdown,
        spending.text(ways, titles),
    )
    charts = {"passing steps": steps_charts(of_all, titles)}
    return StudyPage(NAME, TITLE, parts, (picture,), charts)


def steps_charts(evidence: Mapping[Reset, Evidence], titles: Sequence[str]) -> Charts:
    """Build the charts of points lost against passing steps before training, a panel a reset and a colour a task."""

    def points(task: TaskEvidence) -> tuple[ChartPoint, ...]:
        cells = [(task.steps[cell], task.best - accuracy, *cell) for cell, accuracy in task.accuracy.items()]
        return tuple(
            ChartPoint(
                steps,
                lost,
                f"{shape} at width {width:g}: {value_text(steps)} passing steps, {value_text(lost)} points lost",
            )
            for steps, lost, shape, width in sorted(cells)
            if steps > 0
        )

    def chart(reset: Reset) -> Chart:
        tasks = zip(titles, evidence[reset].values(), strict=True)
        series = tuple(Series(title, points(task)) for title, task in tasks)
        return Chart(f"reset {reset}", ChartAxis("passing steps before training", is_log=True), ChartAxis(LOST), series)

    return Charts(CAPTION, tuple(map(chart, evidence)))


def loss_by_steps(task: TaskEvidence) -> list[list[float]]:
    """Group the points that cells lose by range of passing steps."""
    groups: list[list[float]] = [[] for _ in BORDERS[1:]]
    for (shape, width), accuracy in task.accuracy.items():
        steps = task.steps[shape, width]
        place = next(i for i, border in enumerate(BORDERS[1:]) if steps < border)
        groups[place].append(task.best - accuracy)
    return groups


def _by_steps(reset: Reset, of_all: Evidence, tasks: Evidence, titles: Sequence[str]) -> list[str]:
    """Write what cells lose by their passing steps, for one reset."""
    groups = [loss_by_steps(task) for task in of_all.values()]
    rows: list[list[Item]] = []
    for place, (low, high) in enumerate(pairwise(BORDERS)):
        name = f"below {high:g}" if not low else f"above {low:g}" if math.isinf(high) else f"{low:g} to {high:g}"
        rows.append([name, *(_losses(of_task[place]) for of_task in groups)])
    left_out = ", ".join(f"{title} {loss:.1f}" for title, (_, _, loss) in zip(titles, without_each(tasks), strict=True))
    return [
        f"### Reset {reset}",
        table(["passing steps", *titles], rows),
        f"Of atan and triangle, the target of {chosen_target(tasks):g} loses least in the mean over tasks. With "
        f"the target that the other tasks choose, each task loses, in points: {left_out}.",
    ]


def _losses(found: Sequence[float]) -> str:
    return f"{median(found):.1f} / {max(found):.1f} ({len(found)})" if found else NONE
