"""Reads the records of a sweep's runs and summarises them for each combination of settings."""

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
from sgbench.sweeps.names import SURROGATE_KEY, is_choice
from sgbench.sweeps.points import Axis, SweepGrid, SweepPoint
from sgbench.training.run_folder import is_held

TASK_KEY = "experiment"


@dataclass(frozen=True)
class SettingRow:
    """Holds the results of one combination of a sweep's settings, over its seeds."""

    settings: dict[str, str]  # maps the key of each axis to its value
    surrogate: str
    protocol: str
    method_id: str
    validation: Summary | None  # over seeds, failed ones counted at chance; None if no seed has a record
    test: Summary | None
    by_seed: dict[int, float]  # maps seeds to validation scores; a failed seed has that of guessing
    done: tuple[int, ...]  # finished seeds
    failed: tuple[int, ...]
    at_chance: tuple[int, ...]  # finished seeds whose validation score is no better than guessing
    missing: tuple[int, ...]  # seeds without a record
    running: tuple[int, ...]  # missing seeds that a process runs
    spikes: float | None  # per inference, mean over runs with counts
    measure: Measure  # accuracy, or the loss for a task without classes

    @property
    def chance(self) -> float:
        """Return the score of guessing, which a failed seed gets."""
        return self.measure.guess


@dataclass(frozen=True)
class Results:
    """Holds the results of a sweep, one row for each combination, in the order in which they run."""

    name: str
    protocol: str  # several are joined by commas
    root: Path  # folder of the runs
    axes: tuple[Axis, ...]
    rows: tuple[SettingRow, ...]
    unreadable: tuple[str, ...]  # a line for each record that cannot be read; its run counts as missing

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({seed for row in self.rows for seed in (*row.done, *row.failed, *row.missing)}))

    def count(self, state: str) -> int:
        """Count the runs of all rows in a state: "done", "failed", "missing", "running" or "at_chance"."""
        return sum(len(getattr(row, state)) for row in self.rows)


def read_results(grid: SweepGrid, *, root: Path | None = None, config_dirs: Sequence[Path] = ()) -> Results:
    """Read the record of every run of a sweep and summarise them; unreadable records are listed, not raised."""
    unreadable: list[str] = []
    measure_of = measures(config_dirs)
    rows = [_row(point, root, measure_of(point.spec.method), unreadable) for point in grid.points]
    return Results(
        name=grid.name,
        protocol=", ".join(dict.fromkeys(point.spec.method.protocol.name for point in grid.points)),
        root=root or Path(grid.points[0].spec.paths.runs_dir),
        axes=grid.axes,
        rows=tuple(rows),
        unreadable=tuple(unreadable),
    )


def _row(point: SweepPoint, root: Path | None, measure: Measure, unreadable: list[str]) -> SettingRow:
    """Summarise the records of one combination; append a line to `unreadable` for each that cannot be read."""
    spec = point.spec
    records_of: dict[int, RunRecord] = {}
    for seed in point.seeds:
        try:
            record = _read_record(root or Path(spec.paths.runs_dir), point, seed)
        except InputError as error:
            unreadable.append(str(error))
            continue
        if record is not None:
            records_of[seed] = record
    records = list(records_of.values())
    validated = [measure.of(record.validation) for record in records]
    is_tuning_seed = spec.method.protocol.is_tuning_seed  # these never have a test score
    tested = [measure.of(record.test) for record in records if record.test or not is_tuning_seed(record.seed)]
    return SettingRow(
        settings=point.settings,
        surrogate=spec.method.label,
        protocol=spec.method.protocol.name,
        method_id=method_id(spec.method),
        validation=measure.summarise(validated) if validated else None,
        test=measure.summarise(tested) if tested else None,
        by_seed=dict(zip(records_of, validated, strict=True)),
        done=tuple(seed for seed, record in records_of.items() if record.status == "finished"),
        failed=tuple(seed for seed, record in records_of.items() if record.status == "failed"),
        at_chance=tuple(seed for seed, record in records_of.items() if measure.is_at_chance(record.validation)),
        missing=tuple(seed for seed in point.seeds if seed not in records_of),
        running=tuple(seed for seed in point.seeds if seed not in records_of and _is_running(root, point, seed)),
        spikes=_mean_spikes(records),
        measure=measure,
    )


def _is_running(root: Path | None, point: SweepPoint, seed: int) -> bool:
    """Return whether a process holds the folder of a combination's run with a seed."""
    method = point.spec.method
    runs_dir = root or Path(point.spec.paths.runs_dir)
    folder = run_dir(runs_dir, method.protocol.name, method_id(method), seed)
    with contextlib.suppress(StorageError):  # no process of this machine can run in a folder without write access
        return folder.is_dir() and is_held(folder)
    return False


def _mean_spikes(records: Sequence[RunRecord]) -> float | None:
    """Return the spikes of all layers per inference, as a mean over runs; None if a layer's are not counted."""
    means = []
    for counts in (record.counts for record in records if record.counts is not None):
        sent = [layer.spikes_sent.total for layer in counts.layers]
        if None in sent:
            return None
        means.append(sum(number or 0 for number in sent) / counts.samples)
    return math.fsum(means) / len(means) if means else None


def _read_record(root: Path, point: SweepPoint, seed: int) -> RunRecord | None:
    """Read the record of a combination's run with a seed; None if there is none, an InputError for another run's."""
    method = point.spec.method
    path = run_dir(root, method.protocol.name, method_id(method), seed) / RECORD
    if not path.exists():
        return None
    record = read_model(path, RunRecord)
    if (record.method_id, record.seed) != (method_id(method), seed):
        raise InputError(f"{path}: the record of another run: {record.method_id} seed {record.seed}")
    return record


def best_rows(results: Results) -> list[SettingRow]:
    """Return the row with the best validation score of each group, among rows with a finished run.

    A group is a task; if no tasks are swept, one value of each swept choice, such as a surrogate (`_keys_to_compare`).
    Of equal rows the first is taken.
    """
    keys = _keys_to_compare([axis.key for axis in results.axes])
    groups: dict[tuple[str, ...], list[SettingRow]] = {}
    for row in results.rows:
        if row.done:
            groups.setdefault(tuple(row.settings.get(key, "") for key in keys), []).append(row)

    def signed_mean(row: SettingRow) -> float:
        return row.measure.better(row.validation.mean) if row.validation else -math.inf

    return [max(group, key=signed_mean) for group in groups.values()]


def _keys_to_compare(axes: Sequence[str]) -> list[str]:
    """Return the keys of axes by which rows are grouped to take the best of each group; none make one group of all."""
    choices = [key for key in axes if is_choice(key)]
    if TASK_KEY in choices:
        return [TASK_KEY]
    if len(choices) < len(axes):
        return choices
    if len(choices) == 1:
        return []  # each row would be the best of a group of its own
    # If only entries are swept: surrogates, which this package compares, or else the first key.
    return [SURROGATE_KEY] if SURROGATE_KEY in choices else choices[:1]
