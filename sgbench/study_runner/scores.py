"""Convert the records of a study to scores of its runs, choose the best cells, and require that git holds them."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from sgbench.errors import InputError
from sgbench.leaderboard.score import measure_of
from sgbench.paths import conf_dir
from sgbench.records.files import first_problem, parse_tree, read_bytes, write_atomic
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method
from sgbench.study_runner.cells import Cell, Settled, task_reference
from sgbench.study_runner.definition import Settle, Study, Word
from sgbench.study_runner.store import StoreEntry
from sgbench.training import provenance

GIT_S = 60  # longest time [s] that git may take
SETTLED = "settled.json"  # file in a study's store that maps block and task to the best cells
CELLS = TypeAdapter(dict[str, dict[str, Annotated[list[Cell], Field(min_length=1)]]])


def settle(entries: Iterable[StoreEntry], rule: Settle) -> dict[str, list[Cell]]:
    """Choose the best cells of each task by mean validation accuracy over seeds; failed runs count as guessing.

    Of equal means the cell with the lower mean validation loss wins, then the first in the order of its text.
    `entries`: all runs of the block. Returns the best cells by task, without the keys of `rule.over`, in the order of
    their values of the keys `rule.by`.
    """
    scores: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    cells: dict[tuple[str, str, str], Cell] = {}
    for entry in entries:
        cell = {key: value for key, value in entry.cell.items() if key not in rule.over}
        group = {key: cell.get(key) for key in rule.by}
        index = (entry.task, _text(group), _text(cell))
        cells[index] = dict(cell)  # type: ignore[arg-type]
        scores.setdefault(index, []).append(selection(entry.record))
    best: dict[tuple[str, str], tuple[str, str, str]] = {}
    for index in sorted(scores):
        task, group_text, _ = index
        rival = best.get((task, group_text))
        if rival is None or _mean(scores[index]) > _mean(scores[rival]):
            best[task, group_text] = index
    best_by_task: dict[str, list[Cell]] = {}
    for (task, _), index in sorted(best.items()):
        best_by_task.setdefault(task, []).append(cells[index])
    return best_by_task


def selection(record: RunRecord) -> tuple[float, float]:
    """Return validation accuracy and minus validation loss of a run, by which settings are compared.

    A failed run has the accuracy of guessing; without a validation score minus the loss is -inf.
    """
    if record.classes is None:
        raise InputError(f"{record.protocol}: studies compare accuracies, and this task has no classes")
    accuracy = measure_of(record.classes, None).of(record.validation)
    return accuracy, -math.inf if record.validation is None else -record.validation.loss


def _mean(scores: list[tuple[float, float]]) -> tuple[float, float]:
    return fmean(accuracy for accuracy, _ in scores), fmean(minus_loss for _, minus_loss in scores)


def read_settled(folder: Path) -> dict[str, dict[str, list[Cell]]]:
    """Read the best settings by block and task; none if nothing is settled yet."""
    path = folder / SETTLED
    if not path.exists():
        return {}
    tree = parse_tree(read_bytes(path), str(path))
    try:
        return CELLS.validate_python(tree, strict=True)
    except ValidationError as error:
        raise InputError(
            f"{path}: blocks with the cells of each task are needed ({first_problem(error)}); take it from the "
            f"repository"
        ) from error


def write_settled(folder: Path, block: str, settled: Mapping[str, list[Cell]]) -> Path:
    """Write the best cells of a block, by task, into the file of a study's store, and return its path.

    Cells of other blocks in the file stay.
    """
    tree = {**read_settled(folder), block: dict(settled)}
    path = folder / SETTLED
    write_atomic(path, (json.dumps(tree, indent=1, sort_keys=True) + "\n").encode())
    return path


def _text(cell: Mapping[str, object]) -> str:
    """Write a cell so that equal cells have equal texts."""
    return json.dumps(dict(cell), sort_keys=True)


PERCENT = 100.0


@dataclass(frozen=True)
class Score:
    """Holds the scores of one run."""

    block: str  # with which it was stored
    task: str  # name in the study
    purpose: str  # of its seed: tuning, map or report
    seed: int
    cell: Mapping[str, object]  # its settings in the block, by key
    settings: Mapping[str, Word]  # the method's value of every key that the study varies on the task
    accuracy: float  # on the test split [points]; that of guessing for a failed run
    validation: float  # on the validation split [points]; that of guessing for a failed run
    log_spikes: float | None  # natural logarithm of spikes per inference; None without counts or spikes
    failed: bool  # whether the run failed, e.g. by a loss that is not finite
    solved: bool | None  # whether the test accuracy reaches the task's threshold; None without a threshold
    guess: float  # accuracy of guessing [points]


def score_of(entry: StoreEntry, study: Study) -> Score:
    """Return the score of a stored run; InputError if its cell, task or test split is not what the study says."""
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
    """Return the natural logarithm of the spikes of all layers per inference; None without counts or spikes."""
    if record.counts is None:
        return None
    sent = [layer.spikes_sent.total for layer in record.counts.layers]
    if any(total is None for total in sent):
        return None
    total = sum(total or 0 for total in sent)
    return math.log(total / record.counts.samples) if total else None


def setting(method: Method, key: str) -> Word:
    """Return a method's value of a cell's key, e.g. of `optimizer.lr`; None if it has no such parameter."""
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
    """Name the settings that any block varies on a task."""
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
    """Write a value so that equal values give equal texts: 1 and 1.0, and lists with and without spaces.

    >>> canonical(1), canonical(1.0), canonical("[64, 64]"), canonical(None)
    ('1', '1', '[64,64]', 'None')
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.12g}"
    return str(value).replace(" ", "")


class StudyScores:
    """Indexes all runs of a study by their settings, whichever block they were stored with.

    A run that two blocks share is stored once, so a cell is looked up by its values of all keys that the study
    varies. A key that the cell lacks has the value of the task's base settings, or else of the task's experiment.
    """

    def __init__(self, study: Study, settled: Settled, runs: Iterable[Score]) -> None:
        self.study = study
        self.settled = settled
        self.runs = tuple(runs)

    def block(self, name: str) -> tuple[Score, ...]:
        return self._by_block.get(name, ())

    def cell(self, task: str, purpose: str, cell: Cell, *, start: str | None = None) -> Mapping[int, Score]:
        """Return the runs of a cell by seed; empty if none is stored.

        `task`: name in the study. `purpose`: of the seeds: tuning, map or report. `start`: the block whose base
        settings complete the cell; None: those of the task.
        """
        if start is not None and not self.may_start(start):
            return {}  # without the best settings of its reference block, no run can exist
        return self._index.get((task, purpose, self._index_key(task, cell, start)), {})

    def may_start(self, block: str) -> bool:
        """Return whether a block can have runs: the best cells of its reference block exist, or it has none."""
        return self.study.blocks[block].reference in {None, *self.settled}

    @cached_property
    def _keys(self) -> dict[str, tuple[str, ...]]:
        return {task: varied_keys(self.study, task) for task in self.study.tasks}

    @cached_property
    def _by_block(self) -> dict[str, tuple[Score, ...]]:
        names = dict.fromkeys(run.block for run in self.runs)
        return {name: tuple(run for run in self.runs if run.block == name) for name in names}

    @cached_property
    def _index(self) -> dict[tuple[str, str, tuple[str, ...]], dict[int, Score]]:
        index: dict[tuple[str, str, tuple[str, ...]], dict[int, Score]] = {}
        for run in self.runs:
            values = tuple(canonical(run.settings[key]) for key in self._keys[run.task])
            index.setdefault((run.task, run.purpose, values), {})[run.seed] = run
        return index

    @cached_property
    def _defaults(self) -> dict[tuple[str, str, str], Word]:
        """Map task, key and the chosen entry of the key's group to the value of runs whose cell lacks the key.

        Of several such values the most frequent one counts.
        """
        counts: dict[tuple[str, str, str], Counter[str]] = {}
        value_by_text: dict[str, Word] = {}
        for run in self.runs:
            stated = {**task_reference(self.study, run.block, run.task, self.settled), **run.cell}
            for key in run.settings.keys() - stated.keys():
                value = run.settings[key]
                value_by_text[canonical(value)] = value
                case = (run.task, key, canonical(run.settings.get(_group(key))))
                counts.setdefault(case, Counter())[canonical(value)] += 1
        return {case: value_by_text[texts.most_common(1)[0][0]] for case, texts in counts.items()}

    def _index_key(self, task: str, cell: Cell, start: str | None) -> tuple[str, ...]:
        """Return a cell's values of all varied keys as texts, completed by base settings and defaults."""
        reference = self.study.tasks[task].reference
        if start is not None:
            reference = task_reference(self.study, start, task, self.settled)
        stated: Cell = {**reference, **cell}
        # Entries first: the default of a parameter depends on the entry of its group.
        for key in sorted(self._keys[task], key=lambda key: "." in key):
            if key not in stated:
                stated[key] = self._defaults.get((task, key, canonical(stated.get(_group(key)))))
        return tuple(canonical(stated[key]) for key in self._keys[task])


def _group(key: str) -> str:
    """Return the group of a parameter's key, e.g. surrogate of surrogate.tail; empty for other keys."""
    return key.partition(".")[0] if "." in key else ""


def read_scores(study: Study, settled: Settled, entries: Iterable[StoreEntry]) -> StudyScores:
    """Index the scores of a store's entries; see `score_of` for the errors raised."""
    return StudyScores(study, settled, (score_of(entry, study) for entry in entries))


def require_committed(folder: Path, needs: Sequence[str]) -> None:
    """Raise an InputError if the best cells of a study lie in a git repository with uncommitted changes.

    `folder`: of the study's store; a folder outside any repository is not refused. `needs`: the earlier blocks whose
    best cells the next block uses; without any, nothing is checked.
    """
    path = folder / SETTLED
    if needs and path.exists() and is_committed(path) is False:
        raise InputError(f"{path}: commit it first; the block builds on what {', '.join(needs)} settled")


def require_registered_file(path: Path) -> None:
    """Refuse a user's study whose file is not committed; those of sgbench are part of its commit."""
    if not path.resolve().is_relative_to(conf_dir().resolve()) and not is_committed(path):
        raise InputError(f"{path}: commit it first; a study is registered before its first run")


def is_committed(path: Path) -> bool | None:
    """Return whether a file is committed unchanged in its repository; None outside a repository."""
    file = path.resolve()
    arguments = ["status", "--porcelain", "--ignored", "--untracked-files=all", "--", file.name]
    try:
        changes = provenance.ask(file.parent, *arguments, timeout_s=GIT_S)
    except provenance.FAILURES as error:
        if not any((folder / ".git").exists() for folder in file.parents):
            return None
        stderr: bytes = getattr(error, "stderr", None) or b""
        reason = stderr.decode(errors="replace") or error
        raise InputError(f"{path}: git cannot say whether it is committed: {reason}") from error
    return not changes.strip()
