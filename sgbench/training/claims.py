"""Exclusive files that keep two processes from writing one folder, on shared file systems without locks."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sgbench.errors import RunBusyError

CLAIM = ".claim"
BEAT_S = 15.0  # between two updates of the file's time, the signs of life
STALE_S = 120.0  # without one, after which a claim of another machine counts as abandoned


class FolderClaim(NamedTuple):
    """Names the process that holds the folder of a run."""

    host: str  # name of the machine
    pid: int  # process id there
    job: str  # id of the cluster's job, which may be restarted on another machine, or "-"
    token: str  # random, new for each claim

    @staticmethod
    def mine() -> FolderClaim:
        job = os.environ.get("SLURM_JOB_ID", "-")
        return FolderClaim(socket.gethostname(), os.getpid(), job, secrets.token_hex(8))

    @staticmethod
    def read(path: Path) -> FolderClaim | None:
        """Return the claim in a file; None if there is none, or its writer was killed before it was written."""
        try:
            host, pid, job, token = path.read_text().split()
            return FolderClaim(host, int(pid), job, token)
        except (OSError, ValueError):
            return None


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold the folder's exclusive file during the body, and update its time as a sign of life."""
    path, mine = folder / CLAIM, FolderClaim.mine()
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
        if FolderClaim.read(path) == mine:
            path.unlink(missing_ok=True)


def _create(path: Path, mine: FolderClaim) -> bool:
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as file:
        file.write(" ".join(map(str, mine)))
        file.flush()
        os.fsync(handle)
    return True


def _take_over(path: Path, mine: FolderClaim) -> bool:
    """Remove the file of a process that is gone; return whether the folder may be claimed again.

    The file is renamed first. If it then holds a newer claim of another process, it is put back.
    """
    before = FolderClaim.read(path)
    if not _is_abandoned(path, before, mine):
        return False
    aside = path.with_name(f"{CLAIM}-{mine.token}")
    try:
        path.rename(aside)
    except FileNotFoundError:  # another process was quicker
        return True
    if FolderClaim.read(aside) != before:
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    aside.unlink()
    return True


def _is_abandoned(path: Path, claim: FolderClaim | None, mine: FolderClaim) -> bool:
    """Return whether the process of a claim is gone, judged by its job, process id, or last sign of life."""
    if claim is not None and claim.host == mine.host and claim.pid == mine.pid:
        return False
    if claim is not None and claim.job == mine.job != "-":
        return True  # this job, before the cluster restarted it
    if claim is not None and claim.host == mine.host and not _is_alive(claim.pid):
        return True
    return _age_s(path, mine) > STALE_S


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # it exists and belongs to another user
    return True


def _age_s(path: Path, mine: FolderClaim) -> float:
    """Return the seconds since the last sign of life, by the file system's clock alone."""
    now = path.with_name(f"{CLAIM}-now-{mine.token}")
    try:
        now.touch()
        return now.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
    finally:
        now.unlink(missing_ok=True)


def _beat(path: Path, over: threading.Event) -> None:
    """Update the file's time every `BEAT_S` seconds until `over` is set."""
    while not over.wait(BEAT_S):
        with contextlib.suppress(OSError):
            os.utime(path)
