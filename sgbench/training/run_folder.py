"""The folder of one run: its path, its stored record, its lock and its checkpoints."""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from sgbench.errors import InputError, RunBusyError, StorageError
from sgbench.paths import RECORD, run_dir
from sgbench.records.content import STAGE, UNKNOWN
from sgbench.records.files import parse_tree, read_bytes, read_model
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.training.claims import claimed
from sgbench.training.provenance import driven_by, own_sources

CHECKPOINT, REPLICA_CHECKPOINT, LIGHTNING_CHECKPOINT = "last.ckpt", "replica.ckpt", "lightning.ckpt"
CHECKPOINTS = (CHECKPOINT, REPLICA_CHECKPOINT, LIGHTNING_CHECKPOINT)  # each way of running reads its own
TEST_ACCESS = "test_access.json"
LOCK = ".lock"
log = logging.getLogger("sgbench")


def folder_of(spec: RunSpec) -> Path:
    runs_dir = Path(spec.paths.runs_dir)
    return run_dir(runs_dir, spec.method.protocol.name, method_id(spec.method), spec.seed)


def stored_record(spec: RunSpec) -> RunRecord | None:
    path = folder_of(spec) / RECORD
    if not path.exists():
        return None
    with contextlib.suppress(InputError):
        return read_model(path, RunRecord)
    return None


def finished_record(spec: RunSpec) -> RunRecord | None:
    record = None if spec.force else stored_record(spec)
    if record is None or record.status != "finished":
        return None
    _require_own_sources(record, spec)
    now, before = driven_by(spec), record.provenance.trainer
    if now != before:
        words = " ".join(f"{key}={value}" for key, value in (before or {}).items()) or "no arguments of a Trainer"
        raise InputError(
            f"{folder_of(spec)}: this run was made with {words}; make it anew with force=true, or keep both by "
            f"another paths.runs_dir"
        )
    return record


def _require_own_sources(record: RunRecord, spec: RunSpec) -> None:
    stated = record.provenance.own_sources
    if not stated:
        return
    for choice, now in own_sources(spec.targets).items():
        before = stated.get(choice, now)
        if now != before:
            chosen = f"{choice}={spec.method.choices.get(choice, '')}"
            raise InputError(
                f"{folder_of(spec)}: {chosen} has changed since this run was made (source {now[:8]}, was "
                f"{before[:8]}); make it anew with force=true, or give the entry another name"
            )


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run's folder against other writers during the body.

    A lock is used, and an exclusive file besides on file systems whose locks exclude nobody.
    """
    with contextlib.ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(FileLock(folder / LOCK, timeout=0))
            if not _excludes_others(folder / LOCK):
                held.enter_context(claimed(folder))
        except Timeout:
            raise RunBusyError(f"{folder}: another process is writing this run; wait for it or stop it") from None
        except OSError as error:
            raise StorageError(
                f"{folder} cannot be written: {error.strerror or error}; choose another folder with "
                f"paths.runs_dir=DIR or SGBENCH_RUNS"
            ) from error
        yield


def _excludes_others(path: Path) -> bool:
    """Return whether a lock file that this process holds excludes a second handle."""
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def keeps_locks(folder: Path) -> bool:
    """Return whether locks in a folder exclude a second handle; some shared file systems grant both."""
    path = folder / f"{LOCK}-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(path, timeout=0):
            return _excludes_others(path)
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error.strerror or error}; choose another") from error
    finally:
        path.unlink(missing_ok=True)


def is_held(folder: Path) -> bool:
    """Return whether another process holds a run's folder."""
    try:
        with locked(folder):
            return False
    except RunBusyError:
        return True


def set_aside_unreadable(path: Path) -> None:
    """Rename a record that cannot be read, so that a new one does not overwrite it."""
    if path.exists():
        try:
            read_model(path, RunRecord)
        except InputError as error:
            aside = path.with_name("record.unreadable.json")
            path.replace(aside)
            log.warning("%s; kept as %s, the run is repeated", error, aside.name)


def read_access(path: Path) -> list[str]:
    """Return the stages at which earlier attempts used the test split, with "unknown" for damaged entries."""
    if not path.is_file():
        return []
    try:
        tree = parse_tree(read_bytes(path), str(path))
    except InputError:
        return [UNKNOWN]
    stages = tree if isinstance(tree, list) else [UNKNOWN]
    return [stage if isinstance(stage, str) and STAGE.fullmatch(stage) else UNKNOWN for stage in stages]


def forget_checkpoints(folder: Path) -> None:
    """Delete the checkpoints of a run's folder, and the list of uses of the test split."""
    for name in (*CHECKPOINTS, TEST_ACCESS):
        (folder / name).unlink(missing_ok=True)
