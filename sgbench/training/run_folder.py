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

CHECKPOINT, REPLICA_CHECKPOINT = "last.ckpt", "replica.ckpt"
CHECKPOINTS = (CHECKPOINT, REPLICA_CHECKPOINT)  # of a run alone and of one among others; each reads its own
TEST_ACCESS = "test_access.json"
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
    """Read the record because of which a run is not repeated; None where it has to run."""
    record = stored_record(spec)
    return record if record is not None and record.status == "finished" and not spec.force else None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a run's folder, so that only one process writes there.

    Raises:
        RunBusyError: another process does.
        StorageError: the folder cannot be written.
    """
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise RunBusyError(f"{folder}: another process is writing this run; wait for it or stop it") from None
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written: {error.strerror or error}; choose another folder with "
            f"paths.runs_dir=DIR or SGBENCH_RUNS"
        ) from error
    try:
        yield
    finally:
        lock.release()


def keeps_locks(folder: Path) -> bool:
    """Test whether a lock in a folder excludes a second handle; some shared file systems grant both.

    Args:
        folder: of runs; made if needed.

    Raises:
        StorageError: it cannot be written.
    """
    path = folder / f".lock-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(path, timeout=0), FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written: {error.strerror or error}; choose another"
        ) from error
    finally:
        path.unlink(missing_ok=True)


def is_held(folder: Path) -> bool:
    """Say whether another process is writing a run's folder now."""
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
        found = parse_tree(read_bytes(path), str(path))
    except InputError:
        return [UNKNOWN]
    stages = found if isinstance(found, list) else [UNKNOWN]
    return [each if isinstance(each, str) and STAGE.fullmatch(each) else UNKNOWN for each in stages]


def forget_checkpoints(folder: Path) -> None:
    """Remove the checkpoints from which an unfinished run would continue."""
    for name in (*CHECKPOINTS, TEST_ACCESS):
        (folder / name).unlink(missing_ok=True)
