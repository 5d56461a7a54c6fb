"""Run the blocks of a study: what is stored is not repeated, and time ends at a whole group."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sgbench.composition.plan import PointComposer
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import METHOD_FAILURES
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.study.cells import Point, points
from sgbench.study.definition import Loaded
from sgbench.study.settle import read_settled, settle, write_settled
from sgbench.study.store import Entry, Store
from sgbench.training.provenance import Code
from sgbench.training.run_folder import stored_record

HOUR_S = 3600.0
Runner = Callable[[Sequence[RunSpec]], None]
"""Runs specs and leaves their records in the runs folder."""


@dataclass(frozen=True)
class Place:
    """Where a study runs.

    Args:
        store: its shards.
        runs_dir: where records lie until their block is stored.
        data_dir: of files of data sets, or None for the default.
        config_dirs: folders with entries of the user's own.
        allow_targets: classes outside the catalogue that may be imported.
    """

    store: Store
    runs_dir: Path
    data_dir: Path | None = None
    config_dirs: tuple[Path, ...] = ()
    allow_targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """Runs of one task and seed, which share their batches and are run together."""

    points: tuple[Point, ...]
    specs: tuple[RunSpec, ...]


def composed(points: Sequence[Point], place: Place) -> list[RunSpec]:
    """Compose and check the runs of a block.

    Raises:
        InputError: the first run that is not usable.
    """
    composer = PointComposer(place.config_dirs, place.allow_targets)
    common = [f"paths.runs_dir={place.runs_dir}", "trainer.progress=false"]
    common += [] if place.data_dir is None else [f"paths.data_dir={place.data_dir}"]
    specs: list[RunSpec] = []
    for point in points:
        try:
            specs.append(composer.spec([*point.words, *common]))
        except InputError as error:
            raise InputError(f"block {point.block}, task {point.task}: {error}") from error
    return specs


def groups(points: Sequence[Point], specs: Sequence[RunSpec]) -> Iterator[Group]:
    """Put neighbouring runs of one task and seed together; the same run twice counts once."""
    pairs = zip(points, specs, strict=True)
    for _, members in itertools.groupby(pairs, key=lambda pair: (pair[0].task, pair[0].seed)):
        once = {(method_id(spec.method), spec.seed): (point, spec) for point, spec in members}
        yield Group(tuple(point for point, _ in once.values()), tuple(spec for _, spec in once.values()))


def run_block(
    loaded: Loaded,
    name: str,
    place: Place,
    *,
    runner: Runner,
    deadline_s: float | None,
    say: Callable[[str], None],
    epoch: int = 0,
) -> bool:
    """Run what of a block is not stored yet, and store it; returns whether the block is complete.

    Args:
        loaded: the study.
        name: of the block.
        place: where it runs.
        runner: trains what it is given.
        deadline_s: on the monotonic clock; a group that would end later is not begun. None: no limit.
        say: told one line a group.
        epoch: of the study, see `Shard`.

    Raises:
        InputError: a run cannot be composed, or an earlier block is not settled.
        StorageError: the store cannot be written.
    """
    block = loaded.study.blocks[name]
    planned = points(loaded.study, name, read_settled(place.store.folder))
    specs = composed(planned, place)
    stored = {entry.key for entry in place.store.entries()}
    left = [
        group for group in groups(planned, specs) if not all(_key(spec) in stored for spec in group.specs)
    ]
    total = sum(len(group.specs) for group in left)
    say(f"block {name}: {len(planned)} runs, {total} to make")
    made, began_s, complete = 0, time.monotonic(), True
    for group in left:
        task = loaded.study.tasks[group.points[0].task]
        measured_s = (time.monotonic() - began_s) / made if made else None
        expected_s = len(group.specs) * (measured_s or task.run_s * block.run_s_factor)
        if deadline_s is not None and time.monotonic() + expected_s > deadline_s:
            complete = False
            break
        runner([spec for spec in group.specs if _key(spec) not in stored])
        made += len(group.specs)
        took_s = time.monotonic() - began_s
        say(
            f"block {name}: {made} of {total} runs, {took_s / HOUR_S:.2f} h; "
            f"{group.points[0].task} seed {group.points[0].seed}"
        )
    entries = [
        Entry(name, point.task, point.cell, record, epoch)
        for group in left
        for point, spec in zip(group.points, group.specs, strict=True)
        if (record := stored_record(spec)) is not None and counts(record)
    ]
    shard = place.store.append(name, entries, study_sha256=loaded.sha256, epoch=epoch)
    if shard is not None:
        say(
            f"block {name}: {shard.records} records in {place.store.folder / shard.name}, {shard.bytes:,} bytes"
        )
    missing = {_key(spec) for spec in specs} - {entry.key for entry in place.store.entries()}
    if complete and missing:
        say(
            f"block {name}: {len(missing)} runs have no record that counts; the same command tries them again"
        )
    if not missing and block.settles is not None and name not in read_settled(place.store.folder):
        path = write_settled(place.store.folder, name, settle(place.store.entries([name]), block.settles))
        say(f"block {name}: settled in {path}; commit it before a block that needs it runs")
    return not missing


def counts(record: RunRecord) -> bool:
    """Whether a record is a result: finished, or failed for a reason that is the method's own."""
    return record.status == "finished" or (
        record.failure is not None and record.failure.kind in METHOD_FAILURES
    )


def require_commit(store: Store, code: Code, *, new_epoch: bool) -> int:
    """Refuse to go on with another commit than the store's records were made by; returns the epoch.

    Args:
        store: of the study.
        code: what runs here.
        new_epoch: whether the user wants to go on with another commit; reports then name both.

    Raises:
        InputError: the commit is not known, has uncommitted changes, or is another one.
    """
    if code.commit is None:
        raise InputError(
            "a study runs from a commit: install a wheel that was built in a checkout, or run inside one"
        )
    if not code.clean:
        raise InputError(
            f"a study runs from a commit, and this code is {code.commit[:12]} with changes; commit them, "
            f"build the wheel anew and install it"
        )
    manifest = store.manifest()
    shards = () if manifest is None else manifest.shards
    last = max((shard.epoch for shard in shards), default=0)
    others = {commit for shard in shards if shard.epoch == last for commit in shard.commits} - {code.commit}
    if not others:
        return last
    if not new_epoch:
        raise InputError(
            f"{store.folder}: its records were made by commit {min(others)[:12]}, this is {code.commit[:12]}; "
            f"run that commit's wheel, or go on with --new-epoch, which the report names"
        )
    return last + 1


def _key(spec: RunSpec) -> tuple[str, str, int]:
    return spec.method.protocol.name, method_id(spec.method), spec.seed
