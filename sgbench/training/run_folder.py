"""The folder of one run: where it is, what is in it, and who may write there."""

from __future__ import annotations

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
from sgbench.training.provenance import own_sources

CHECKPOINT, REPLICA_CHECKPOINT = "last.ckpt", "replica.ckpt"
CHECKPOINTS = (CHECKPOINT, REPLICA_CHECKPOINT)  # of a run alone and of one among others; each reads its own
TEST_ACCESS = "test_access.json"
LOCK = ".lock"
log = logging.getLogger("sgbench")


def folder_of(spec: RunSpec) -> Path:
    """Return the folder of a run's files."""
    runs_dir = Path(spec.paths.runs_dir)
    return run_dir(runs_dir, spec.method.protocol.name, method_id(spec.method), spec.seed)


def stored_record(spec: RunSpec) -> RunRecord | None:
    """Read the record of a run, if there is a readable one."""
    path = folder_of(spec) / RECORD
    if not path.exists():
        return None
    with contextlib.suppress(InputError):
        return read_model(path, RunRecord)
    return None


def finished_record(spec: RunSpec) -> RunRecord | None:
    """Read the record because of which a run is not repeated; None where it has to run.

    Raises:
        InputError: a class of one's own has changed since.
    """
    record = None if spec.force else stored_record(spec)
    if record is None or record.status != "finished":
        return None
    _require_own_sources(record, spec)
    return record


def _require_own_sources(record: RunRecord, spec: RunSpec) -> None:
    """Refuse a record that was made by another class than a choice names now; comments change nothing."""
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
    """Lock a run's folder against other writers, by an exclusive file where the file system keeps no locks.

    Raises:
        RunBusyError: another process does.
        StorageError: the folder cannot be written.
    """
    with contextlib.ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(FileLock(folder / LOCK, timeout=0))
            if not _excludes_others(folder / LOCK):
                held.enter_context(claimed(folder))
        except Timeout:
            raise RunBusyError(
                f"{folder}: another process is writing this run; wait for it or stop it"
            ) from None
        except OSError as error:
            raise StorageError(
                f"{folder} cannot be written: {error.strerror or error}; choose another folder with "
                f"paths.runs_dir=DIR or SGBENCH_RUNS"
            ) from error
        yield


def _excludes_others(path: Path) -> bool:
    """Return whether a lock that this process holds keeps another handle out."""
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def keeps_locks(folder: Path) -> bool:
    """Test whether a lock in a folder excludes a second handle; some shared file systems grant both.

    Raises:
        StorageError: it cannot be written.
    """
    path = folder / f"{LOCK}-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(path, timeout=0):
            return _excludes_others(path)
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written: {error.strerror or error}; choose another"
        ) from error
    finally:
        path.unlink(missing_ok=True)


def is_held(folder: Path) -> bool:
    """Return whether another process is writing a run's folder now."""
    try:
        with locked(folder):
            return False
    except RunBusyError:
        return True


def set_aside_unreadable(path: Path) -> None:
    """Rename a record that cannot be read, so that nothing is overwritten."""
    if path.exists():
        try:
            read_model(path, RunRecord)
        except InputError as error:
            aside = path.with_name("record.unreadable.json")
            path.replace(aside)
            log.warning("%s; kept as %s, the run is repeated", error, aside.name)


def read_access(path: Path) -> list[str]:
    """Read when earlier attempts used the test split; `unknown` where the file is damaged."""
    if not path.is_file():
        return []
    try:
        tree = parse_tree(read_bytes(path), str(path))
    except InputError:
        return [UNKNOWN]
    stages = tree if isinstance(tree, list) else [UNKNOWN]
    return [stage if isinstance(stage, str) and STAGE.fullmatch(stage) else UNKNOWN for stage in stages]


def forget_checkpoints(folder: Path) -> None:
    """Remove the checkpoints from which an unfinished run would continue."""
    for name in (*CHECKPOINTS, TEST_ACCESS):
        (folder / name).unlink(missing_ok=True)
