"""From the records of a study to plain numbers: one score a run, found by task, purpose, cell and seed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sgbench.errors import InputError
from sgbench.leaderboard.score import measure_of
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method
from sgbench.statistics.pairs import Floats
from sgbench.study.cells import Cell, Settled, task_reference
from sgbench.study.definition import Study, StudyTask, Word
from sgbench.study.settle import selection
from sgbench.study.store import StoreEntry

PERCENT = 100.0
DEFAULT_MARGIN = {"accuracy": 2.0, "solved": 0.2}
"""By outcome, in points of accuracy and in shares of solved runs."""


@dataclass(frozen=True)
class Score:
    """Holds what one run counts for in a comparison."""

    block: str  # it was stored with
    task: str  # name in the study
    purpose: str  # of its seed: tuning, map or report
    seed: int
    cell: Mapping[str, object]  # what its block says of it, by key
    # The value of every key that the study varies on the task, as the run's method has it.
    settings: Mapping[str, Word]
    accuracy: float  # on the test split, in points; that of guessing where the run failed
    validation: float  # the same on the validation split
    # Natural logarithm of spikes an inference; None where the run failed or sent none.
    log_spikes: float | None
    failed: bool  # whether a loss or gradient was not finite
    # Whether the test accuracy is the task's threshold or more; None where the task has none.
    solved: bool | None
    guess: float  # accuracy of guessing, in points


def score_of(entry: StoreEntry, study: Study) -> Score:
    """Compute the score of a stored run.

    Raises:
        InputError: the run's method is not what its cell says, its task or block is none of the study's, or it has
            no test score.
    """
    record = entry.record
    if entry.task not in study.tasks or entry.block not in study.blocks:
        raise InputError(f"block {entry.block}, task {entry.task}: the study has no such block or task")
    settings = {key: setting(record.method, key) for key in varied_keys(study, entry.task)}
    for key, value in entry.cell.items():
        if canonical(settings.get(key)) != canonical(value):
            raise InputError(
                f"block {entry.block}, task {entry.task}, seed {record.seed}: the cell says {key}={value}, the "
                f"record's method has {settings.get(key)}"
            )
    if record.status == "finished" and record.test is None:
        raise InputError(
            f"block {entry.block}, task {entry.task}, seed {record.seed}: the run left its test split closed; run "
            f"it again with trainer.test_tuning_seeds=true force=true"
        )
    validation = selection(record)[0]
    measure = measure_of(record.classes, None)
    accuracy = measure.of(record.test)
    threshold = study.tasks[entry.task].solved_from
    return Score(
        block=entry.block,
        task=entry.task,
        purpose=study.blocks[entry.block].purpose,
        seed=record.seed,
        cell=entry.cell,
        settings=settings,
        accuracy=PERCENT * accuracy,
        validation=PERCENT * validation,
        log_spikes=log_spikes_of(record),
        failed=record.status == "failed",
        solved=None if threshold is None else accuracy >= threshold,
        guess=PERCENT * measure.guess,
    )


def log_spikes_of(record: RunRecord) -> float | None:
    """Return the natural logarithm of the spikes that all layers send during one inference."""
    if record.counts is None:
        return None
    sent = [layer.spikes_sent.total for layer in record.counts.layers]
    if any(total is None for total in sent):
        return None
    total = sum(total or 0 for total in sent)
    return math.log(total / record.counts.samples) if total else None


def setting(method: Method, key: str) -> Word:
    """Look up the value that a method has for a key of a cell; None where it has none."""
    if key == "width_fwhm":
        value = method.parameters["surrogate"].get(key)
    elif key == "clip_norm":
        value = method.clip_norm
    elif key.startswith("protocol."):
        value = getattr(method.protocol, key.removeprefix("protocol."), None)
    elif "." in key:
        group, name = key.split(".", 1)
        value = method.parameters.get(group, {}).get(name)
    else:
        value = method.choices.get(key)
    return f"[{','.join(map(str, value))}]" if isinstance(value, tuple) else value


def varied_keys(study: Study, task: str) -> tuple[str, ...]:
    """List every key that a block of the study states for a task, alphabetically."""
    keys = set(study.tasks[task].reference)
    for block in study.blocks.values():
        if task not in block.tasks:
            continue
        if block.settings is not None:
            keys |= {*block.settings.ranges, *block.settings.by_task.get(task, {})}
        for grid in block.grids:
            keys |= {*grid.ranges.get(task, {}), *(key for cell in grid.cells for key in cell)}
            keys |= {*grid.values, *grid.factors} if grid.tasks is None or task in grid.tasks else set()
    return tuple(sorted(keys))


def canonical(value: object) -> str:
    """Return one text for equal values: 1 and 1.0 are equal, and so are lists with and without blanks.

    >>> canonical(1), canonical(1.0), canonical("[64, 64]"), canonical(None)
    ('1', '1', '[64,64]', 'None')
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.12g}"
    return str(value).replace(" ", "")


@dataclass(frozen=True)
class RunTable:
    """Holds runs of several cells with the same seeds: as many of the planned seeds as have a run of every cell."""

    cells: tuple[Cell, ...]  # rows
    seeds: tuple[int, ...]  # columns, those that are complete
    runs: tuple[tuple[Score, ...], ...]  # by cell and seed [cells, seeds]
    planned: int  # how many seeds there should be
    missing: int  # how many runs of the planned seeds are not stored

    @property
    def complete(self) -> bool:
        """Return whether no run is missing."""
        return not self.missing

    @property
    def accuracy(self) -> Floats:
        """Return test accuracy in points [cells, seeds]."""
        return self._numbers("accuracy")

    @property
    def validation(self) -> Floats:
        """Return validation accuracy in points [cells, seeds]."""
        return self._numbers("validation")

    @property
    def failed(self) -> np.ndarray:
        """Return whether each run failed [cells, seeds]."""
        return self._numbers("failed").astype(bool)

    @property
    def solved(self) -> np.ndarray:
        """Return whether each run solved its task [cells, seeds]."""
        return self._numbers("solved").astype(bool)

    @property
    def log_spikes(self) -> Floats:
        """Return the logarithm of spikes an inference, NaN where there is none [cells, seeds]."""
        return self._numbers("log_spikes")

    def _numbers(self, name: str) -> Floats:
        """Return one number of each run [cells, seeds]; NaN where a run has none."""
        table = np.array([[getattr(run, name) for run in row] for row in self.runs], dtype=float)
        return table.reshape(len(self.cells), len(self.seeds))


def points_of(task: StudyTask, runs: RunTable) -> Floats:
    """Return scores in points [cells, seeds]: test accuracy, or 100 for a solved run where that is what counts."""
    return PERCENT * runs.solved if task.outcome == "solved" else runs.accuracy


class StudyScores:
    """Finds all runs of a study by their settings, whichever block they were stored with.

    A run that two blocks share is stored once. A cell is therefore looked up by what it sets: its own keys, then
    the settings that its task starts from, then what the task's experiment has where nothing is stated.
    """

    def __init__(self, study: Study, settled: Settled, runs: Iterable[Score]) -> None:
        self.study = study
        self.settled = settled
        self.runs = tuple(runs)

    def block(self, name: str) -> tuple[Score, ...]:
        """Return the runs that were stored with a block."""
        return self._by_block.get(name, ())

    def cell(self, task: str, purpose: str, cell: Cell, *, start: str | None = None) -> Mapping[int, Score]:
        """Return the runs of a cell by seed.

        Args:
            task: name in the study.
            purpose: of the seeds: tuning, map or report.
            cell: what it sets.
            start: the block whose starting point fills in what the cell leaves open; None: the task's own.
        """
        if start is not None and not self.may_start(start):
            return {}  # nothing can have been run from a starting point that nothing has settled
        return self._index.get((task, purpose, self._place(task, cell, start)), {})

    def may_start(self, block: str) -> bool:
        """Return whether the settings that a block starts from are settled, so that runs of it can exist."""
        return self.study.blocks[block].reference in {None, *self.settled}

    def table(
        self,
        task: str,
        purpose: str,
        cells: Sequence[Cell],
        seeds: Sequence[int],
        *,
        start: str | None = None,
    ) -> RunTable:
        """Return the runs of several cells, of the seeds that all of them have.

        Args:
            task: name in the study.
            purpose: of the seeds.
            cells: the rows.
            seeds: that were planned.
            start: see `cell`.
        """
        rows = [self.cell(task, purpose, cell, start=start) for cell in cells]
        complete = tuple(seed for seed in seeds if all(seed in row for row in rows))
        missing = sum(seed not in row for row in rows for seed in seeds)
        runs = tuple(tuple(row[seed] for seed in complete) for row in rows)
        return RunTable(tuple(cells), complete, runs, len(seeds), missing)

    @cached_property
    def _keys(self) -> dict[str, tuple[str, ...]]:
        """List the settings that vary, by task."""
        return {task: varied_keys(self.study, task) for task in self.study.tasks}

    @cached_property
    def _by_block(self) -> dict[str, tuple[Score, ...]]:
        names = dict.fromkeys(run.block for run in self.runs)
        return {name: tuple(run for run in self.runs if run.block == name) for name in names}

    @cached_property
    def _index(self) -> dict[tuple[str, str, tuple[str, ...]], dict[int, Score]]:
        """Index runs by task, purpose and varied settings, then by seed."""
        index: dict[tuple[str, str, tuple[str, ...]], dict[int, Score]] = {}
        for run in self.runs:
            place = tuple(canonical(run.settings[key]) for key in self._keys[run.task])
            index.setdefault((run.task, run.purpose, place), {})[run.seed] = run
        return index

    @cached_property
    def _unstated(self) -> dict[tuple[str, str, str], Word]:
        """Collect by task, key and choice of the key's group the value where no cell states one."""
        values: dict[tuple[str, str, str], Counter[str]] = {}
        known: dict[str, Word] = {}
        for run in self.runs:
            stated = {**task_reference(self.study, run.block, run.task, self.settled), **run.cell}
            for key in run.settings.keys() - stated.keys():
                value = run.settings[key]
                known[canonical(value)] = value
                place = (run.task, key, canonical(run.settings.get(_group(key))))
                values.setdefault(place, Counter())[canonical(value)] += 1
        return {place: known[counted.most_common(1)[0][0]] for place, counted in values.items()}

    def _place(self, task: str, cell: Cell, start: str | None) -> tuple[str, ...]:
        """Return the place of a cell in the index: its varied settings, those not stated filled in."""
        reference = self.study.tasks[task].reference
        if start is not None:
            reference = task_reference(self.study, start, task, self.settled)
        stated: Cell = {**reference, **cell}
        # Choices first: what a number is by default depends on what is chosen for its group.
        for key in sorted(self._keys[task], key=lambda key: "." in key):
            if key not in stated:
                stated[key] = self._unstated.get((task, key, canonical(stated.get(_group(key)))))
        return tuple(canonical(stated[key]) for key in self._keys[task])


def _group(key: str) -> str:
    """Return the group of a key, e.g. surrogate of surrogate.tail; none of a choice."""
    return key.partition(".")[0] if "." in key else ""


def read_scores(study: Study, settled: Settled, entries: Iterable[StoreEntry]) -> StudyScores:
    """Build the scores of a study from a store's entries.

    Raises:
        InputError: a record's method is not what its cell says.
    """
    return StudyScores(study, settled, (score_of(entry, study) for entry in entries))


def margin_of(task: StudyTask) -> float:
    """Return the difference within which two methods count as equal, in points or as a share of solved runs."""
    return DEFAULT_MARGIN[task.outcome] if task.margin is None else task.margin
