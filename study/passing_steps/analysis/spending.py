"""Runs spent against points lost: settings taken unseen, a few tries, and searches, on the first study's tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean

import numpy as np

from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series
from sgbench.plots.figure import charts_figure
from sgbench.records.calibration import Reset
from sgbench.study_runner.store import Store
from study.passing_steps.analysis.evidence import (
    FIRST,
    SHAPES,
    TASKS,
    WIDTHS,
    RunPoints,
    RunsOfCells,
    TaskEvidence,
    points_of_run,
)
from study.passing_steps.analysis.targets import chosen_fixed, without_each
from study.reporting.pages.text import Item, StudyPicture, table

DEFAULTS = {"snntorch/atan": "snnTorch's atan as it ships", "snntorch/fast_sigmoid": "snnTorch's fast_sigmoid"}
DEFAULT_BLOCKS = ("A3b", "KR", "H")
SEARCHED, SEARCHED_SHAPE = "A3a", "atan"
"""The first study's search of width and learning rate, and the shape whose search is shown."""
TRIED = (0.2, 0.1, 0.5)
"""Widths of atan that `sgbench recommend` lists for recurrent networks."""
TRIED_ATTACHED = (0.5, 0.2, 1.0)
ATTACHED: Reset = "attached"
Seeds = Mapping[int, RunPoints]
TunedRuns = Mapping[str, Sequence[Seeds]]
"""By task, the runs of each cell of a search, by seed."""
PICTURE = "spending.png"


@dataclass(frozen=True)
class Way:
    """Describes a way to a setting.

    `name`: in words. `runs`: that it takes before the network is trained for good. `losses`: in points by task; a task
    without such runs has none.
    """

    name: str
    runs: int
    losses: Mapping[str, float]

    def mean(self, tasks: Sequence[str]) -> float:
        return fmean(self.losses[task] for task in tasks)


def common(found: Sequence[Way]) -> list[str]:
    """List the tasks on which every way has a loss."""
    return [task for task in TASKS if all(task in way.losses for way in found)]


def read_tuned(root: Path) -> TunedRuns:
    """Read by task the cells that the first study's search of width and learning rate ran."""
    found: dict[str, dict[str, dict[int, RunPoints]]] = {}
    for entry in Store(root / "study" / FIRST, FIRST).entries([SEARCHED]):
        if entry.task in TASKS and entry.cell.get("surrogate") == SEARCHED_SHAPE:
            cells = found.setdefault(entry.task, {})
            cells.setdefault(entry.record.method_id, {})[entry.record.seed] = points_of_run(entry.record)
    return {task: list(cells.values()) for task, cells in found.items()}


def shared(cells: Sequence[Seeds]) -> list[int]:
    """List the seeds that every cell was run with."""
    return sorted(set.intersection(*(set(cell) for cell in cells)))


def read_defaults(root: Path) -> dict[str, dict[str, dict[int, RunPoints]]]:
    """Read by library default and task the runs of what a library ships."""
    found: dict[str, dict[str, dict[int, RunPoints]]] = {name: {} for name in DEFAULTS}
    for entry in Store(root / "study" / FIRST, FIRST).entries(DEFAULT_BLOCKS):
        name = str(entry.cell.get("surrogate"))
        if entry.task in TASKS and name in found and entry.cell.get("width_fwhm") is None:
            found[name].setdefault(entry.task, {})[entry.record.seed] = points_of_run(entry.record)
    return found


def picked(cells: Sequence[Seeds]) -> float:
    """Average the test accuracy of what one seed's validation picks, over the other seeds and each seed in turn."""
    scores = []
    for seed in shared(cells):
        best = max(cells, key=lambda cell: cell[seed].validation)
        scores.append(fmean(run.test for other, run in best.items() if other != seed))
    return fmean(scores)


def ways(
    evidence: Mapping[Reset, Mapping[str, TaskEvidence]],
    runs: RunsOfCells,
    tuned: TunedRuns,
    defaults: Mapping[str, Mapping[str, Seeds]],
) -> list[Way]:
    """List every way to a setting, with the points that it loses to the best known cell of each task."""
    best = {task: best_known(runs, task) for task in TASKS}

    def untried(name: str, scores: Mapping[str, float]) -> Way:
        return Way(name, 0, {task: best[task] - score for task, score in scores.items()})

    def tried(name: str, cells: Mapping[str, Sequence[Seeds]], more: int = 0) -> Way:
        scored = {task: of_task for task, of_task in cells.items() if len(shared(of_task)) > 1}
        tries = max(map(len, scored.values()))
        return Way(name, tries + more, {task: best[task] - picked(of_task) for task, of_task in scored.items()})

    at_fixed = {}
    for task in TASKS:  # at the setting that is best on the other tasks
        shape, width = chosen_fixed({name: other for name, other in evidence["attached"].items() if name != task})
        at_fixed[task] = runs[ATTACHED, task, shape, width]
    plain = {task: cells for task, cells in _cells(runs, ["detached"], ["atan"], [0.2]).items() if cells}
    return [
        untried("attached, fixed setting", {task: mean_test(cell) for task, cell in at_fixed.items()}),
        untried("attached, by passing steps", _at_targets(evidence, runs, "attached")),
        untried("detached, by passing steps", _at_targets(evidence, runs, "detached")),
        untried("detached, atan at 0.2", {task: mean_test(cell) for task, (cell,) in plain.items()}),
        *(
            untried(DEFAULTS[name], {task: mean_test(of_task[task]) for task in TASKS if task in of_task})
            for name, of_task in defaults.items()
        ),
        tried("detached, atan: three tries", _cells(runs, ["detached"], ["atan"], TRIED)),
        tried("attached, atan: three tries", _cells(runs, ["attached"], ["atan"], TRIED_ATTACHED)),
        tried("detached, atan: all widths", _cells(runs, ["detached"], ["atan"], WIDTHS)),
        tried("detached, two shapes: all widths", _cells(runs, ["detached"], SHAPES, WIDTHS)),
        tried("detached, atan: widths, then width by learning rate", tuned, more=len(WIDTHS)),
    ]


def best_known(runs: RunsOfCells, task: str) -> float:
    """Return the mean test accuracy of the cell whose mean validation accuracy is highest."""
    cells = [by_seed for (_, name, _, _), by_seed in runs.items() if name == task]
    return mean_test(max(cells, key=lambda cell: fmean(run.validation for run in cell.values())))


def mean_test(cell: Seeds) -> float:
    return fmean(run.test for run in cell.values())


def _cells(
    runs: RunsOfCells, resets: Sequence[Reset], shapes: Sequence[str], widths: Sequence[float]
) -> dict[str, list[Seeds]]:
    """Select the cells of these resets, shapes and widths by task, as far as they were run."""
    selected: dict[str, list[Seeds]] = {}
    for task in TASKS:
        cells = (runs.get((reset, task, shape, width)) for reset, shape, width in product(resets, shapes, widths))
        selected[task] = [cell for cell in cells if cell is not None]
    return selected


def _at_targets(
    evidence: Mapping[Reset, Mapping[str, TaskEvidence]], runs: RunsOfCells, reset: Reset
) -> dict[str, float]:
    """Estimate the test accuracy at the target that the other tasks choose, the mean of both shapes."""
    found = {}
    for task, target, _ in without_each(evidence[reset]):
        steps = evidence[reset][task].steps
        scores = []
        for shape in SHAPES:
            widths = [width for width in WIDTHS if (reset, task, shape, width) in runs]
            logs = np.log([steps[shape, width] for width in widths])
            means = [mean_test(runs[reset, task, shape, width]) for width in widths]
            scores.append(float(np.interp(np.log(target), logs, means)))
        found[task] = fmean(scores)
    return found


def text(found: Sequence[Way], titles: Sequence[str]) -> str:
    """Write the table of ways by how many runs they spend."""
    rows: list[list[Item]] = [
        [
            way.name,
            way.runs,
            *(None if task not in way.losses else f"{way.losses[task]:.1f}" for task in TASKS),
            f"{way.mean(common(found)):.1f}",
        ]
        for way in sorted(found, key=lambda way: way.runs)
    ]
    return table(["way", "runs", *titles, f"mean of the {len(common(found))} that all have"], rows)


def picture(found: Sequence[Way]) -> StudyPicture:
    charts = spending_charts(found)
    says = "Points lost against runs spent: a mark a way to a setting, with its tasks as small marks."
    return StudyPicture(PICTURE, says, charts, lambda: charts_figure(charts, panel=(6.0, 0)))


def spending_charts(found: Sequence[Way]) -> Charts:
    """Build the chart of a row a way, the cheapest on top: points lost on each task, and their mean."""
    tasks = common(found)
    ordered = sorted(found, key=lambda way: (way.runs, way.mean(tasks)))
    names = tuple(f"{way.name}: {way.runs} run{'' if way.runs == 1 else 's'}" for way in ordered)
    losses = tuple(ChartPoint(loss, row) for row, way in enumerate(ordered) for loss in way.losses.values())
    means = tuple(ChartPoint(way.mean(tasks), row) for row, way in enumerate(ordered))
    series = (
        Series("a task", losses, tone="soft"),
        Series(f"mean of the {len(tasks)} tasks that all ways have", means, tone="bad", marker="D"),
    )
    lost = ChartAxis("points of test accuracy lost to the best known setting")
    return Charts("", (Chart("", lost, ChartAxis(names=names), series, x_lines=(0.0,)),))
