"""What the first study's records say of passing steps: points lost by steps before training."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series, value_text
from sgbench.records.calibration import Reset
from sgbench.study_runner.definition import load_study
from sgbench.study_runner.store import StoreEntry
from sgbench.tables import NONE
from study.passing_steps.analysis import activity, levels, spending
from study.passing_steps.analysis.evidence import FIRST, SHAPES, TASKS, TaskEvidence, read_evidence, read_runs
from study.passing_steps.analysis.targets import chosen_target, without_each
from study.reporting.pages.text import Item, StudyPage, table
from study.reporting.run_table import SHAPES as ALL_SHAPES

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
        *levels.text(of_all["detached"], of_all["attached"], titles),
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
