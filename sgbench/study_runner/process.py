"""Let one study run in a runs folder, and let another terminal pause and continue it."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sgbench.errors import InputError, StorageError

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
