"""What came of a sweep: the records of its runs, summarised per combination."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from sgbench import catalogue
from sgbench.cli.sweep_points import Axis, Grid, Point
from sgbench.errors import InputError
from sgbench.leaderboard.facts import facts_of
from sgbench.paths import RECORD, run_dir
from sgbench.records.files import read_model
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord

if TYPE_CHECKING:
    from sgbench.leaderboard.stats import Summary


@dataclass(frozen=True)
class Row:
    """One combination of a sweep's axes."""

    settings: dict[str, str]
    surrogate: str
    method_id: str
    validation: Summary | None  # None where no seed has a record; failed seeds count at chance
    test: Summary | None
    by_seed: dict[int, float]  # validation accuracy; a failed seed's is chance
    done: tuple[int, ...]
    failed: tuple[int, ...]
    missing: tuple[int, ...]
    chance: float


@dataclass(frozen=True)
class Results:
    """A sweep with its rows, in the order in which it runs."""

    name: str
    protocol: str
    root: Path
    axes: tuple[Axis, ...]
    rows: tuple[Row, ...]
    unreadable: tuple[str, ...]  # a line each; such a run counts as missing

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds asked for."""
        found = {seed for row in self.rows for seed in (*row.done, *row.failed, *row.missing)}
        return tuple(sorted(found))

    def count(self, what: str) -> int:
        """How many runs are done, failed or missing."""
        return sum(len(getattr(row, what)) for row in self.rows)


def read_results(grid: Grid, *, root: Path | None = None, config_dirs: Sequence[Path] = ()) -> Results:
    """Look up the record of every run of a sweep.

    Args:
        grid: the sweep.
        root: the runs folder; None takes the one that the sweep writes to.
        config_dirs: folders with entries of the user's own.

    Raises:
        InputError: a data set of the user's own does not say how many classes it has.
    """
    folders = tuple(config_dirs)
    unreadable: list[str] = []
    rows = [_row(point, root, folders, unreadable) for point in grid.points]
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


def _row(point: Point, root: Path | None, config_dirs: tuple[Path, ...], unreadable: list[str]) -> Row:
    from sgbench.leaderboard.stats import counted_accuracies, summarise

    spec = point.spec
    found: dict[int, RunRecord] = {}
    for seed in point.seeds:
        try:
            record = _record(root or Path(spec.paths.runs_dir), point, seed)
        except InputError as error:
            unreadable.append(str(error))
            continue
        if record is not None:
            found[seed] = record
    classes = _classes(spec.method.choices["dataset"], config_dirs)
    records = list(found.values())
    selected = counted_accuracies(
        [each.validation.accuracy if each.validation else None for each in records], classes=classes
    )
    tested = counted_accuracies(
        [each.test.accuracy if each.test else None for each in records], classes=classes
    )
    return Row(
        settings=point.settings,
        surrogate=spec.method.choices["surrogate"],
        method_id=method_id(spec.method),
        validation=summarise(selected) if selected else None,
        test=summarise(tested) if tested else None,
        by_seed=dict(zip(found, selected, strict=True)),
        done=tuple(seed for seed, each in found.items() if each.status == "finished"),
        failed=tuple(seed for seed, each in found.items() if each.status == "failed"),
        missing=tuple(seed for seed in point.seeds if seed not in found),
        chance=1 / classes,
    )


def _record(root: Path, point: Point, seed: int) -> RunRecord | None:
    method = point.spec.method
    path = run_dir(root, method.protocol.name, method_id(method), seed) / RECORD
    if not path.exists():
        return None
    record = read_model(path, RunRecord)
    if (record.method_id, record.seed) != (method_id(method), seed):
        raise InputError(f"{path}: the record of another run: {record.method_id} seed {record.seed}")
    return record


@lru_cache(maxsize=16)
def _classes(name: str, config_dirs: tuple[Path, ...]) -> int:
    return facts_of(catalogue.entry("dataset", name, config_dirs)).classes


def best_rows(results: Results) -> list[Row]:
    """The row that validation selects, of each surrogate where other axes are swept too.

    Among equals the first one is taken.
    """
    by_surrogate = len(results.axes) > 1
    groups: dict[str, list[Row]] = {}
    for row in results.rows:
        if row.validation is not None:
            groups.setdefault(row.surrogate if by_surrogate else "", []).append(row)
    return [max(group, key=_validation_mean) for group in groups.values()]


def _validation_mean(row: Row) -> float:
    return row.validation.mean if row.validation else 0.0
