"""Results of a sweep: the records of its runs, summarised for each combination of settings."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sgbench.errors import InputError, StorageError
from sgbench.leaderboard.score import Measure, measures
from sgbench.paths import RECORD, run_dir
from sgbench.records.files import read_model
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.statistics.intervals import Summary
from sgbench.sweeps.names import SURROGATE, is_choice
from sgbench.sweeps.points import Axis, SweepGrid, SweepPoint
from sgbench.training.run_folder import is_held

TASK = "experiment"


@dataclass(frozen=True)
class SettingRow:
    """Describes one combination of a sweep's axes."""

    settings: dict[str, str]
    surrogate: str
    protocol: str
    method_id: str
    validation: Summary | None  # None where no seed has a record; failed seeds count at chance
    test: Summary | None
    by_seed: dict[int, float]  # validation accuracy; a failed seed's is chance
    done: tuple[int, ...]
    failed: tuple[int, ...]
    at_chance: tuple[int, ...]  # those of the done whose validation is no better than guessing
    missing: tuple[int, ...]
    running: tuple[int, ...]  # those of the missing whose folder a process holds
    spikes: float | None  # per inference, the mean over finished runs
    measure: Measure  # accuracy, or the loss where a task has no classes

    @property
    def chance(self) -> float:
        """Return the score that a failed seed counts as: that of guessing."""
        return self.measure.guess


@dataclass(frozen=True)
class Results:
    """Holds a sweep with its rows, in the order in which it runs."""

    name: str
    protocol: str
    root: Path
    axes: tuple[Axis, ...]
    rows: tuple[SettingRow, ...]
    unreadable: tuple[str, ...]  # a line each; such a run counts as missing

    @property
    def seeds(self) -> tuple[int, ...]:
        """Collect the seeds of all rows of the sweep, in order."""
        asked = {seed for row in self.rows for seed in (*row.done, *row.failed, *row.missing)}
        return tuple(sorted(asked))

    def count(self, what: str) -> int:
        """Count runs over all rows; what: "done", "failed", "missing", "running" or "at_chance"."""
        return sum(len(getattr(row, what)) for row in self.rows)


def read_results(grid: SweepGrid, *, root: Path | None = None, config_dirs: Sequence[Path] = ()) -> Results:
    """Look up the record of every run of a sweep.

    Args:
        grid: the sweep.
        root: the runs folder; None takes the one that the sweep writes to.
        config_dirs: folders with entries of the user's own.

    Raises:
        InputError: a data set of the user's own does not say how many classes it has.
    """
    unreadable: list[str] = []
    measure_of = measures(config_dirs)
    rows = [_row(point, root, measure_of(point.spec.method), unreadable) for point in grid.points]
    first = grid.points[0].spec
    names = dict.fromkeys(point.spec.method.protocol.name for point in grid.points)
    return Results(
        name=grid.name,
        protocol=", ".join(names),
        root=root or Path(first.paths.runs_dir),
        axes=grid.axes,
        rows=tuple(rows),
        unreadable=tuple(unreadable),
    )


def _row(point: SweepPoint, root: Path | None, measure: Measure, unreadable: list[str]) -> SettingRow:
    spec = point.spec
    records_of: dict[int, RunRecord] = {}
    for seed in point.seeds:
        try:
            record = _record(root or Path(spec.paths.runs_dir), point, seed)
        except InputError as error:
            unreadable.append(str(error))
            continue
        if record is not None:
            records_of[seed] = record
    records = list(records_of.values())
    selected = [measure.of(record.validation) for record in records]
    chooses = spec.method.protocol.is_tuning_seed
    tested = [measure.of(record.test) for record in records if record.test or not chooses(record.seed)]
    return SettingRow(
        settings=point.settings,
        surrogate=spec.method.label,
        protocol=spec.method.protocol.name,
        method_id=method_id(spec.method),
        validation=measure.summarise(selected) if selected else None,
        test=measure.summarise(tested) if tested else None,
        by_seed=dict(zip(records_of, selected, strict=True)),
        done=tuple(seed for seed, record in records_of.items() if record.status == "finished"),
        failed=tuple(seed for seed, record in records_of.items() if record.status == "failed"),
        at_chance=tuple(
            seed for seed, record in records_of.items() if measure.is_at_chance(record.validation)
        ),
        missing=tuple(seed for seed in point.seeds if seed not in records_of),
        running=tuple(
            seed for seed in point.seeds if seed not in records_of and _is_running(root, point, seed)
        ),
        spikes=_spikes(records),
        measure=measure,
    )


def _is_running(root: Path | None, point: SweepPoint, seed: int) -> bool:
    method = point.spec.method
    runs_dir = root or Path(point.spec.paths.runs_dir)
    folder = run_dir(runs_dir, method.protocol.name, method_id(method), seed)
    with contextlib.suppress(StorageError):  # a folder that cannot be written is run by nobody here
        return folder.is_dir() and is_held(folder)
    return False


def _spikes(records: Sequence[RunRecord]) -> float | None:
    """Average the spikes of all layers per inference over runs; None where a layer's were not counted."""
    means = []
    for counts in (record.counts for record in records if record.counts is not None):
        sent = [layer.spikes_sent.total for layer in counts.layers]
        if None in sent:
            return None
        means.append(sum(number or 0 for number in sent) / counts.samples)
    return math.fsum(means) / len(means) if means else None


def _record(root: Path, point: SweepPoint, seed: int) -> RunRecord | None:
    method = point.spec.method
    path = run_dir(root, method.protocol.name, method_id(method), seed) / RECORD
    if not path.exists():
        return None
    record = read_model(path, RunRecord)
    if (record.method_id, record.seed) != (method_id(method), seed):
        raise InputError(f"{path}: the record of another run: {record.method_id} seed {record.seed}")
    return record


def best_rows(results: Results) -> list[SettingRow]:
    """Find the row that validation selects, for each task, or for each choice where numbers are swept too.

    A row counts if a run of it finished; among equals the first one is taken.
    """
    keys = _grouping([axis.key for axis in results.axes])
    groups: dict[tuple[str, ...], list[SettingRow]] = {}
    for row in results.rows:
        if row.done:
            groups.setdefault(tuple(row.settings.get(key, "") for key in keys), []).append(row)
    return [max(group, key=_validation_mean) for group in groups.values()]


def _grouping(axes: Sequence[str]) -> list[str]:
    """Choose the keys whose values are compared; along the other axes the best is taken."""
    choices = [key for key in axes if is_choice(key)]
    if TASK in choices:
        return [TASK]
    if len(choices) < len(axes):
        return choices
    # Of choices alone the first one, or surrogates, which are what is compared here.
    return ([SURROGATE] if SURROGATE in choices else choices[:1]) if len(choices) > 1 else []


def _validation_mean(row: SettingRow) -> float:
    return row.measure.better(row.validation.mean) if row.validation else -math.inf
