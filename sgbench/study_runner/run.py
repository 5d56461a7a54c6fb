"""Run the blocks of a study: stored runs are not repeated, and a time limit ends after a whole group."""

import itertools
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from sgbench.composition.plan import PointComposer
from sgbench.errors import InputError, StorageError
from sgbench.leaderboard.deviation import METHOD_FAILURES
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.study_runner.cells import Cell, StudyPoint, points
from sgbench.study_runner.definition import Loaded, Settle
from sgbench.study_runner.scores import SETTLED, read_settled, settle, write_settled
from sgbench.study_runner.status import HOUR_S
from sgbench.study_runner.store import Store, StoreEntry
from sgbench.training.calibration import calibrate_specs
from sgbench.training.provenance import Code, foreign_classes
from sgbench.training.run_folder import folder_of, stored_record

STUDY_OVERRIDES = ("trainer.progress=false", "trainer.test_tuning_seeds=true")
"""Overrides of all runs of a study; tuning seeds are tested too, since margins are registered for test scores."""
Runner = Callable[[Sequence[RunSpec]], None]
"""Trains the runs of specs, and leaves their records in the runs folder."""
RunKey = tuple[str, str, int]  # protocol, method and seed, as `StoreEntry.key`


def replicas(workers: int) -> Runner:
    """Return a runner that trains runs side by side in this many processes."""

    def run(specs: Sequence[RunSpec]) -> None:
        from sgbench.replicas.sweep import run_sweep
        from sgbench.sweeps.outcome import headline

        run_sweep(specs, range(len(specs)), workers=workers, largest=None, headline=headline)

    return run


@dataclass(frozen=True)
class StudyFolders:
    """Names the folders of a study's store, runs, data and entries."""

    store: Store  # its shards
    runs_dir: Path  # of records until their block is stored
    data_dir: Path | None = None  # of files of data sets; None: the default
    config_dirs: tuple[Path, ...] = ()  # folders with the user's own entries
    allow_targets: tuple[str, ...] = ()  # classes outside the catalogue that may be imported


@dataclass(frozen=True)
class RunGroup:
    """Holds the runs of one task and seed, which share their batches and run together."""

    points: tuple[StudyPoint, ...]
    specs: tuple[RunSpec, ...]


def compose_specs(points: Sequence[StudyPoint], folders: StudyFolders) -> list[RunSpec]:
    """Compose the spec of each run, in the order of `points`."""
    composer = PointComposer(folders.config_dirs, folders.allow_targets)
    paths = {"runs_dir": str(folders.runs_dir)}
    if folders.data_dir is not None:
        paths["data_dir"] = str(folders.data_dir)
    specs: list[RunSpec] = []
    for point in points:
        try:
            spec = composer.spec([*point.overrides, *STUDY_OVERRIDES])
        except InputError as error:
            raise InputError(f"block {point.block}, task {point.task}: {error}") from error
        # Not as overrides, in which a folder's name would need quotes.
        specs.append(spec.model_copy(update={"paths": spec.paths.model_copy(update=paths)}))
    return calibrate_specs(specs)


def groups(points: Sequence[StudyPoint], specs: Sequence[RunSpec]) -> Iterator[RunGroup]:
    """Yield the runs of each task and seed, which follow one another in `points`; equal runs are taken once."""
    pairs = zip(points, specs, strict=True)
    for _, members in itertools.groupby(pairs, key=lambda pair: (pair[0].task, pair[0].seed)):
        by_method = {method_id(spec.method): (point, spec) for point, spec in members}
        group_points, group_specs = zip(*by_method.values(), strict=True)
        yield RunGroup(group_points, group_specs)


@dataclass(frozen=True)
class BlockRun:
    """Trains the runs of one block of a study, and stores their records."""

    loaded: Loaded
    name: str  # of the block
    folders: StudyFolders
    code: Code  # the running code; records of other code are refused
    runner: Runner
    say: Callable[[str], None]  # called with one line for each group
    epoch: int = 0  # of the study's code, see `require_commit`

    def run(self, deadline_s: float | None = None) -> bool:
        """Train the runs of the block that are not stored, and store each group whose runs have all ended.

        A group holds the runs of one task and seed, a cell is one combination of varied settings. Once all runs are
        stored, the best cells of each task are chosen and written, if the block has a rule for that (`settles`).
        `deadline_s`: monotonic time [s]; a group that would end later is not started. None: no limit. Returns whether
        all runs of the block are stored.
        """
        study, store, name = self.loaded.study, self.folders.store, self.name
        for needed in study.blocks[name].needs:
            require_settled(self.loaded, needed, self.folders)
        planned = points(study, name, read_settled(store.folder))
        specs = compose_specs(planned, self.folders)  # of each planned run
        stored = {entry.key for entry in store.entries()}
        open_groups = [
            group for group in groups(planned, specs) if not all(key_of(spec) in stored for spec in group.specs)
        ]
        to_train = [
            [spec for spec in group.specs if key_of(spec) not in stored and result_of(spec, self.code) is None]
            for group in open_groups
        ]
        self.say(f"block {name}: {len(planned)} runs, {sum(map(len, to_train))} to make")
        in_time = self._train(open_groups, to_train, deadline_s)
        stored |= self._store_ended(open_groups, stored)
        missing = [spec for group in open_groups for spec in group.specs if key_of(spec) not in stored]
        if in_time and missing:
            self.say(
                f"block {name}: {len(missing)} runs have no record that counts, first {_why_missing(missing[0])}; "
                f"the same command tries them again"
            )
        rule = study.blocks[name].settles
        if not missing and rule is not None and name not in read_settled(store.folder):
            path = write_settled(store.folder, name, best_cells(rule, planned, specs, self.folders))
            self.say(f"block {name}: settled in {path}; commit it before a block that needs it runs")
        return not missing

    def _store_ended(self, open_groups: Sequence[RunGroup], stored: Collection[RunKey]) -> set[RunKey]:
        """Store the groups whose runs have all ended; return the keys of the stored runs."""
        # Failed runs end early: from an interrupted group, they alone would be stored, and bias every figure.
        ended = [
            group
            for group in open_groups
            if all(key_of(spec) in stored or stored_record(spec) is not None for spec in group.specs)
        ]
        entries = [
            StoreEntry(self.name, point.task, point.cell, record, self.epoch)
            for group in ended
            for point, spec in zip(group.points, group.specs, strict=True)
            if (record := result_of(spec, self.code)) is not None
        ]
        store = self.folders.store
        shard = store.append(self.name, entries, study_sha256=self.loaded.sha256, epoch=self.epoch)
        if shard is not None:
            path = store.folder / shard.name
            self.say(f"block {self.name}: {shard.records} records in {path}, {shard.bytes:,} bytes")
        return {entry.key for entry in entries}

    def _train(
        self, groups: Sequence[RunGroup], to_train: Sequence[Sequence[RunSpec]], deadline_s: float | None
    ) -> bool:
        """Train `to_train`, the missing specs of each group; return False if the next group would take too long."""
        total, finished, stated_s, began_s = sum(map(len, to_train)), 0, 0.0, time.monotonic()
        study = self.loaded.study
        for group, specs in zip(groups, to_train, strict=True):
            if not specs:
                continue
            task, seed = group.points[0].task, group.points[0].seed
            # The estimate is the time stated in the file, corrected by the ratio of earlier groups.
            group_s = len(specs) * study.tasks[task].run_s * study.blocks[self.name].run_s_factor
            slowness = (time.monotonic() - began_s) / stated_s if stated_s else 1.0
            if deadline_s is not None and time.monotonic() + group_s * slowness > deadline_s:
                return False
            self.runner(specs)
            finished += len(specs)
            stated_s += group_s
            hours = f"{(time.monotonic() - began_s) / HOUR_S:.2f} h"
            self.say(f"block {self.name}: {finished} of {total} runs, {hours}; {task} seed {seed}")
        return True


def best_cells(
    rule: Settle, planned: Sequence[StudyPoint], specs: Sequence[RunSpec], folders: StudyFolders
) -> dict[str, list[Cell]]:
    """Choose the best cells of each task from the stored runs that a block plans; see `settle`.

    A planned run counts whichever block has stored it; a stored run that is not planned here does not. `specs`
    has the spec of each planned run.
    """
    stored = {entry.key: entry for entry in folders.store.entries()}
    runs: dict[tuple[str, str, int], StoreEntry] = {}
    for point, spec in zip(planned, specs, strict=True):
        entry = stored.get(key_of(spec))
        if entry is None:
            raise InputError(
                f"{folders.store.folder}: block {point.block} lacks task {point.task}, seed {point.seed}, "
                f"{point.cell}; run it first, or take the store from the repository"
            )
        runs[point.task, repr(sorted(point.cell.items())), point.seed] = StoreEntry(
            point.block, point.task, point.cell, entry.record, entry.epoch
        )
    return settle(runs.values(), rule)


def require_settled(loaded: Loaded, name: str, folders: StudyFolders) -> None:
    """Raise an InputError if the best cells written for the block `name` are not those that its records select."""
    settled = read_settled(folders.store.folder)
    rule = loaded.study.blocks[name].settles
    if rule is None or name not in settled:
        return  # reported by the block that needs it
    planned = points(loaded.study, name, settled)
    cells = best_cells(rule, planned, compose_specs(planned, folders), folders)
    if json.loads(json.dumps(cells)) != settled[name]:
        raise InputError(
            f"{folders.store.folder / SETTLED}: the cells of block {name} are not those that its records select; "
            f"remove {name} from it and run sgbench study run {loaded.name} --block {name}"
        )


def result_of(spec: RunSpec, code: Code) -> RunRecord | None:
    """Return the record in a run's folder if it is a result of this spec and code; None if the run must be trained.

    A result has a test score, or failed because of the method. A failure of other code or another spec gives None.
    Records of runs with a user's class are never marked as clean, since the commit does not determine that class;
    for them an equal commit is enough.
    """
    record = stored_record(spec)
    if record is None or not is_result(record):
        return None
    has_foreign = bool(foreign_classes(spec.targets))
    provenance = record.provenance
    if (record.protocol, record.method_id, record.seed) == key_of(spec):
        ours = provenance.commit == code.commit and (provenance.clean or has_foreign)
        if ours and (record.test is not None or record.status == "failed"):
            return record
        commit = f"commit {(provenance.commit or 'none')[:12]}{'' if provenance.clean else ' with changes'}"
        origin = "a search of settings, without a test score" if ours else commit
    else:
        origin = f"method {record.method_id} seed {record.seed}"
    if record.status == "failed":
        return None  # such a run is repeated anyway
    raise InputError(
        f"{folder_of(spec)}: holds a record of {origin}, which is not what runs here; name an empty folder with "
        f"--runs-dir"
    )


def _why_missing(spec: RunSpec) -> str:
    """Write a run's folder, and its failure or that it has no record."""
    record = stored_record(spec)
    failure = None if record is None else record.failure
    return f"{folder_of(spec)}, {'no record' if failure is None else f'{failure.kind}: {failure.message}'}"


def is_result(record: RunRecord) -> bool:
    """Return whether a record is a result: its run finished, or failed because of the method."""
    return record.status == "finished" or (record.failure is not None and record.failure.kind in METHOD_FAILURES)


def require_commit(store: Store, code: Code, *, new_epoch: bool) -> int:
    """Refuse to continue a store whose records were made by another commit; return the epoch of its code.

    An epoch numbers the commits that made a store: 0 for the first, and one more where another commit continues.
    `code`: the running code.
    """
    if code.commit is None:
        raise InputError("a study runs from a commit: install a wheel that was built in a checkout, or run inside one")
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


def key_of(spec: RunSpec) -> RunKey:
    return spec.method.protocol.name, method_id(spec.method), spec.seed


PID_FILE = "study.pid"
"""File in the runs folder with the process id and the name of the study that runs there."""
LOCK_FILE = ".study.lock"
NICENESS = 10


@contextmanager
def only_one(runs_dir: Path, name: str) -> Iterator[None]:
    """Hold the lock of a runs folder in a `with` block; on SIGTSTP pause the workers together with this process.

    `runs_dir`: the folder; it is made if it is missing. `name`: of the study; written into the folder with the process
    id, so that `send` can signal the process.
    """
    path, before = runs_dir / PID_FILE, None
    lock = FileLock(runs_dir / LOCK_FILE, timeout=0)
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        if hasattr(signal, "SIGTSTP"):
            before = signal.signal(signal.SIGTSTP, _pause)
        path.write_text(f"{os.getpid()} {name}\n", encoding="utf-8")
    except Timeout:
        raise InputError(f"{runs_dir}: another study runs there; wait for it or name another --runs-dir") from None
    except OSError as error:
        raise StorageError(f"{runs_dir} cannot be written: {error.strerror or error}") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        if before is not None:
            signal.signal(signal.SIGTSTP, before)
        lock.release()


def send(number: int | None, runs_dir: Path, name: str) -> None:
    """Send a signal to the process of the study of this name in a runs folder, and to no other.

    `number`: of the signal; None on a system that lacks it, where the call raises.
    """
    path = runs_dir / PID_FILE
    process = written_name = ""
    try:
        process, written_name = path.read_text(encoding="utf-8").split()
        with FileLock(runs_dir / LOCK_FILE, timeout=0):
            running = None  # a killed study left its process id, which another program may have
    except Timeout:
        running = written_name
    except (OSError, ValueError):
        running = None
    if running != name or number is None:
        also = f", but {running} does" if running not in (None, name) else ""
        raise InputError(f"{runs_dir}: no study {name} runs there{also}; name its --runs-dir")
    try:
        os.kill(int(process), number)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: its process cannot be reached: {error}") from error


def _pause(*_: object) -> None:
    """Stop the worker processes and then this one; when this one is continued, continue the workers."""
    workers = [worker.pid for worker in multiprocessing.active_children() if worker.pid is not None]
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGSTOP)
    for worker in workers:
        os.kill(worker, signal.SIGCONT)


def give_way() -> None:
    """Lower this process's priority to a niceness of 10, where the system has one."""
    if hasattr(os, "nice"):
        os.nice(max(0, NICENESS - os.nice(0)))
