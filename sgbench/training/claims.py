"""Exclusive files, which keep two processes apart on shared file systems that keep no locks."""

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
BEAT_S = 15.0  # between two signs of life
STALE_S = 120.0  # without one, and a claim of another machine is taken to be left


class FolderClaim(NamedTuple):
    """Names the process that holds a folder of a run."""

    host: str  # name of the machine
    pid: int  # of the process there
    job: str  # of a cluster, which may begin again on another machine, or "-"
    token: str  # drawn anew for each claim

    @staticmethod
    def mine() -> FolderClaim:
        """Make one of this process."""
        job = os.environ.get("SLURM_JOB_ID", "-")
        return FolderClaim(socket.gethostname(), os.getpid(), job, secrets.token_hex(8))

    @staticmethod
    def read(path: Path) -> FolderClaim | None:
        """Return a file's claim, or None where there is none or its writer was killed before its first word."""
        try:
            host, pid, job, token = path.read_text().split()
            return FolderClaim(host, int(pid), job, token)
        except (OSError, ValueError):
            return None


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold the folder's exclusive file, and show signs of life meanwhile.

    Raises:
        RunBusyError: another process holds it.
        OSError: it cannot be written.
    """
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
    """Make the file, which only one process can."""
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
    """Remove a claim whose process is gone; one that somebody else made meanwhile is put back."""
    before = FolderClaim.read(path)
    if not _is_abandoned(path, before, mine):
        return False
    aside = path.with_name(f"{CLAIM}-{mine.token}")
    try:
        path.rename(aside)
    except FileNotFoundError:  # somebody else was quicker
        return True
    if FolderClaim.read(aside) != before:
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    aside.unlink()
    return True


def _is_abandoned(path: Path, claim: FolderClaim | None, mine: FolderClaim) -> bool:
    """Return whether the process of a claim is gone: by its job, its id on this machine, or its signs of life."""
    if claim is not None and claim.host == mine.host and claim.pid == mine.pid:
        return False
    if claim is not None and claim.job == mine.job != "-":
        return True  # this job, before it was begun again
    if claim is not None and claim.host == mine.host and not _is_alive(claim.pid):
        return True
    return _age_s(path, mine) > STALE_S


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # it is there, and somebody else's
    return True


def _age_s(path: Path, mine: FolderClaim) -> float:
    """Measure the time since the last sign of life, both ends by the file system's clock, whatever ours does."""
    now = path.with_name(f"{CLAIM}-now-{mine.token}")
    try:
        now.touch()
        return now.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
    finally:
        now.unlink(missing_ok=True)


def _beat(path: Path, over: threading.Event) -> None:
    while not over.wait(BEAT_S):
        with contextlib.suppress(OSError):
            os.utime(path)
