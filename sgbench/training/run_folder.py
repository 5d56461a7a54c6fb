"""The folder of one run: its path, its stored record, its lock and its checkpoints."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from sgbench.errors import InputError, RunBusyError, StorageError
from sgbench.paths import RECORD, run_dir
from sgbench.records.content import STAGE, UNKNOWN
from sgbench.records.files import parse_tree, read_bytes, read_model
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
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
    """Read the record of a run, finished or failed; None if there is none, or it cannot be read."""
    path = folder_of(spec) / RECORD
    if not path.exists():
        return None
    with contextlib.suppress(InputError):
        return read_model(path, RunRecord)
    return None


def finished_record(spec: RunSpec) -> RunRecord | None:
    """Read the record of a finished run; None if there is none, or the run is to be made anew by `force`.

    An InputError if the run's own classes, or what it gives Lightning's Trainer, are others than those of the record.
    """
    record = None if spec.force else stored_record(spec)
    if record is None or record.status != "finished":
        return None
    _require_own_sources(record, spec)
    recorded = record.provenance.trainer
    if driven_by(spec) != recorded:
        words = " ".join(f"{key}={value}" for key, value in (recorded or {}).items()) or "no arguments of a Trainer"
        raise InputError(
            f"{folder_of(spec)}: this run was made with {words}; make it anew with force=true, or keep both by "
            f"another paths.runs_dir"
        )
    return record


def _require_own_sources(record: RunRecord, spec: RunSpec) -> None:
    """Raise an InputError if the source of a user's own class has changed since a record was made."""
    recorded = record.provenance.own_sources  # hashes by choice, e.g. "surrogate"
    if not recorded:
        return
    for choice, present_hash in own_sources(spec.targets).items():
        recorded_hash = recorded.get(choice, present_hash)
        if present_hash != recorded_hash:
            chosen = f"{choice}={spec.method.choices.get(choice, '')}"
            raise InputError(
                f"{folder_of(spec)}: {chosen} has changed since this run was made (source {present_hash[:8]}, was "
                f"{recorded_hash[:8]}); make it anew with force=true, or give the entry another name"
            )


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing to a run's folder during the body.

    A file lock does this; on file systems whose locks exclude nobody, an exclusive file is held besides.
    """
    with contextlib.ExitStack() as held_locks:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held_locks.enter_context(FileLock(folder / LOCK, timeout=0))
            if not _excludes_others(folder / LOCK):
                held_locks.enter_context(heartbeat_lock(folder))
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


OWNER_FILE = ".claim"
BEAT_S = 15.0  # between two updates of the file's time, the signs of life
STALE_S = 120.0  # without one, after which a claim of another machine counts as abandoned


class LockOwner(NamedTuple):
    """Names the process that holds the folder of a run."""

    host: str  # name of the machine
    pid: int  # process id there
    job: str  # id of the cluster's job, which may be restarted on another machine, or "-"
    token: str  # random, new for each claim

    @staticmethod
    def mine() -> LockOwner:
        job = os.environ.get("SLURM_JOB_ID", "-")
        return LockOwner(socket.gethostname(), os.getpid(), job, secrets.token_hex(8))

    @staticmethod
    def read(path: Path) -> LockOwner | None:
        """Return the claim in a file; None if there is none, or its writer was killed before it was written."""
        try:
            host, pid, job, token = path.read_text().split()
            return LockOwner(host, int(pid), job, token)
        except (OSError, ValueError):
            return None


@contextlib.contextmanager
def heartbeat_lock(folder: Path) -> Iterator[None]:
    """Hold the folder's exclusive file during the body, and update its time as a sign of life."""
    path, mine = folder / OWNER_FILE, LockOwner.mine()
    for _ in range(2):
        if _create(path, mine):
            break
        if not _take_over(path, mine):
            raise RunBusyError(f"{folder}: another process is writing this run; wait for it or stop it")
    else:
        raise RunBusyError(f"{folder}: another process has just begun this run; wait for it or stop it")
    over = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, over), daemon=True)
    beating.start()
    try:
        yield
    finally:
        over.set()
        beating.join()
        if LockOwner.read(path) == mine:
            path.unlink(missing_ok=True)


def _create(path: Path, mine: LockOwner) -> bool:
    """Write this process's claim to a new file; return False if there is a file already."""
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as file:
        file.write(" ".join(map(str, mine)))
        file.flush()
        os.fsync(handle)
    return True


def _take_over(path: Path, mine: LockOwner) -> bool:
    """Remove the file of a process that is gone; return whether the folder may be claimed again.

    The file is renamed first. If it then holds a newer claim of another process, it is put back.
    """
    before = LockOwner.read(path)
    if not _is_abandoned(path, before, mine):
        return False
    aside = path.with_name(f"{OWNER_FILE}-{mine.token}")
    try:
        path.rename(aside)
    except FileNotFoundError:  # another process was quicker
        return True
    if LockOwner.read(aside) != before:
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    aside.unlink()
    return True


def _is_abandoned(path: Path, claim: LockOwner | None, mine: LockOwner) -> bool:
    """Return whether the process of a claim is gone, judged by its job, process id, or last sign of life."""
    if claim is not None and claim.host == mine.host and claim.pid == mine.pid:
        return False  # another thread of this process holds it
    if claim is not None and claim.job == mine.job != "-":
        return True  # this job, before the cluster restarted it
    if claim is not None and claim.host == mine.host and not _is_alive(claim.pid):
        return True
    return _age_s(path, mine) > STALE_S


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # signal 0 only asks whether the process exists
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # it exists and belongs to another user
    return True


def _age_s(path: Path, mine: LockOwner) -> float:
    """Return the seconds since the last sign of life, by the file system's clock alone."""
    touched = path.with_name(f"{OWNER_FILE}-now-{mine.token}")
    try:
        touched.touch()  # its time is the present one on the machine of the file system, whose clock may differ
        return touched.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
    finally:
        touched.unlink(missing_ok=True)


def _beat(path: Path, over: threading.Event) -> None:
    """Update the file's time every `BEAT_S` seconds until `over` is set."""
    while not over.wait(BEAT_S):
        with contextlib.suppress(OSError):
            os.utime(path)
