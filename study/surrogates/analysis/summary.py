"""From the records of a study to the summary that recommendations are fitted to."""

from collections.abc import Iterator, Mapping, Sequence

from sgbench.recommendation.summary import CellSummary, LaterTask, Shape, StudySummary, TaskSummary
from sgbench.statistics.blocks import Contrast
from sgbench.study_runner.cells import Cell, rounded, task_reference
from sgbench.study_runner.definition import Loaded, Word
from sgbench.study_runner.scores import PERCENT, Score, StudyScores
from sgbench.study_runner.store import Manifest, StoreEntry
from study.reporting.pages.shapes import SHAPES
from study.surrogates.analysis.comparisons import LIBRARY_DEFAULTS, LONG, LONG_MORE, MAP

TUNING, REPORT = "A3a", "A3b"


def summarise(
    loaded: Loaded,
    scores: StudyScores,
    entries: Sequence[StoreEntry],
    starts: Mapping[str, tuple[float, ...]],
    manifest: Manifest | None,
) -> StudySummary:
    """Summarise the records of a study: the cells of its regime map and of its long sequences, task by task.

    `scores`: of its runs; `entries`: the stored runs; `starts`: spikes that a neuron sends before training, by task and
    hidden layer, where they were measured.
    """
    tasks = {}
    for block in (MAP, LONG):
        is_there = block in loaded.study.blocks and scores.may_start(block)
        for name in loaded.study.blocks[block].tasks if is_there else ():
            first = next((entry for entry in entries if entry.task == name), None)
            if first is not None:
                tasks[name] = _task(name, block, scores, first, starts.get(name))
    shards = () if manifest is None else manifest.shards
    return StudySummary(
        study=loaded.name, study_sha256=loaded.sha256, shards=tuple(shard.sha256 for shard in shards), tasks=tasks
    )


def _task(
    name: str, block: str, scores: StudyScores, entry: StoreEntry, start: tuple[float, ...] | None
) -> TaskSummary:
    reference = task_reference(scores.study, block, name, scores.settled)
    cells = []
    for (surrogate, width, factor), cell in _grid(scores, name, reference.get("optimizer.lr")).items():
        runs = scores.cell(name, "map", cell, start=block)
        if runs:
            cells.append(_cell(surrogate, width, factor, runs))
    defaults = []
    for surrogate in LIBRARY_DEFAULTS if REPORT in scores.study.blocks else ():
        runs = scores.cell(name, "report", {"surrogate": surrogate, "width_fwhm": None}, start=REPORT)
        if runs:
            defaults.append(_cell(surrogate, None, 1.0, runs))
    return TaskSummary(
        title=scores.study.tasks[name].title,
        shape=_shape(entry, start),
        reference=dict(reference),
        cells=tuple(cells),
        defaults=tuple(defaults),
        own_best=tuple(_own_best(name, scores)),
    )


def _own_best(name: str, scores: StudyScores) -> Iterator[CellSummary]:
    for cell in scores.settled.get(TUNING, {}).get(name, ()):
        runs = scores.cell(name, "report", cell, start=REPORT)
        rate = task_reference(scores.study, REPORT, name, scores.settled).get("optimizer.lr")
        if runs and isinstance(rate, int | float):
            factor = rounded(float(str(cell["optimizer.lr"])) / rate)
            yield _cell(str(cell["surrogate"]), float(str(cell["width_fwhm"])), factor, runs)


def _shape(entry: StoreEntry, start: tuple[float, ...] | None) -> Shape:
    method = entry.record.method
    return Shape(
        layers=len(method.protocol.hidden or ()) or 1,
        recurrent=method.parameters["network"].get("recurrence", "none") != "none",
        steps=method.protocol.steps,
        start_spikes=start,
    )


def later_tasks(
    loaded: Loaded,
    regrets: Mapping[str, Contrast],
    entries: Sequence[StoreEntry],
    starts: Mapping[str, tuple[float, ...]],
) -> dict[str, LaterTask]:
    """Summarise what the recommendation lost on tasks that the fit has nothing of."""
    firsts = {entry.task: entry for entry in reversed(entries)}
    return {
        task: LaterTask(
            title=loaded.study.tasks[task].title,
            shape=_shape(firsts[task], starts.get(task)),
            regret=regret.estimate,
            low=regret.low,
            high=regret.high,
            seeds=regret.seeds,
        )
        for task, regret in regrets.items()
    }


def _grid(scores: StudyScores, task: str, rate: Word) -> Mapping[tuple[str, float, float], Cell]:
    widths: set[float] = set()
    factors = {1.0}
    blocks = [scores.study.blocks[name] for name in (MAP, LONG, LONG_MORE) if name in scores.study.blocks]
    for grid in (grid for block in blocks if task in block.tasks for grid in block.grids):
        if grid.tasks is None or task in grid.tasks:
            widths |= {float(str(value)) for value in grid.values.get("width_fwhm", ()) if value is not None}
            factors |= set(grid.factors.get("optimizer.lr", ()))
    cells: dict[tuple[str, float, float], Cell] = {}
    for shape in SHAPES:
        for width in sorted(widths):
            for factor in sorted(factors):
                cell: Cell = {"surrogate": shape, "width_fwhm": width}
                if factor != 1 and isinstance(rate, int | float):
                    cell["optimizer.lr"] = rounded(rate * factor)
                cells[shape, width, factor] = cell
    return cells


def _cell(surrogate: str, width: float | None, factor: float, runs: Mapping[int, Score]) -> CellSummary:
    ordered = [runs[seed] for seed in sorted(runs)]
    return CellSummary(
        surrogate=surrogate,
        width_fwhm=width,
        lr_factor=factor,
        seeds=tuple(sorted(runs)),
        score=tuple(run.accuracy if run.solved is None else PERCENT * run.solved for run in ordered),
        validation=tuple(run.validation for run in ordered),
        log_spikes=tuple(run.log_spikes for run in ordered),
        failed=tuple(run.failed for run in ordered),
    )
