"""Passing names: what is being written has one until it is whole, and what a killed process left keeps it.

A writer holds a lock on the file or folder, which the system takes from it when it ends, in whatever way. So what
bears a passing name and is not locked was left.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

ENDING = ".part"
"""Of a passing name, which is hidden too; `.gitignore` names it."""


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Create an empty file beside `path` under a temporary name; remove it if it still has that name at the end."""

    def make() -> Path:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=ENDING)
        os.close(handle)
        return Path(name)

    with _held(make) as passing:
        yield passing


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Create an empty folder beside `folder` under a temporary name; see `new_file`."""

    def make() -> Path:
        return Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=ENDING))

    with _held(make) as passing:
        yield passing


@contextlib.contextmanager
def _held(make: Callable[[], Path]) -> Iterator[Path]:
    passing, handle = make(), None
    try:
        while not _hold(handle := _open(passing), passing):
            _close(handle)
            passing = make()
        yield passing
    finally:
        _remove(passing)
        _close(handle)


def _hold(handle: int | None, passing: Path) -> bool:
    """Lock a file just created; return False if another process took it for abandoned and removed it before."""
    if handle is not None:
        _lock(handle, wait=True)
    return passing.exists()


def abandoned(folder: Path) -> list[Path]:
    """List the files and folders below `folder` that a killed process left; no link is followed.

    Where the system has no locks it finds none.
    """
    return [path for path in _passing(folder) if _is_free(path)]


def remove_abandoned(folder: Path) -> None:
    """Remove what killed processes left below `folder`, except what cannot be removed."""
    for path in _passing(folder):
        _is_free(path, remove=True)


def remove_abandoned_of(path: Path) -> None:
    """Remove what killed processes left beside one file or folder that they were writing."""
    for passing in sorted(path.parent.glob(f".{glob.escape(path.name)}.*{ENDING}")):
        _is_free(passing, remove=True)


def _passing(folder: Path) -> Iterator[Path]:
    for where, folders, files in os.walk(folder):
        passing = [name for name in folders if _is_passing(name)]
        folders[:] = sorted(set(folders) - set(passing))
        yield from (Path(where) / name for name in sorted([*passing, *filter(_is_passing, files)]))


def _is_passing(name: str) -> bool:
    return name.startswith(".") and name.endswith(ENDING)


def _is_free(path: Path, *, remove: bool = False) -> bool:
    """Return whether no process holds a file; if asked to, remove it before another process can hold it."""
    handle = _open(path)
    if handle is None:
        return False
    try:
        free = _lock(handle, wait=False)
        if free and remove:
            _remove(path)
        return free
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _open(path: Path) -> int | None:
    """Open a handle for locking; None for a link, a file that is missing or not ours, or a system without locks."""
    if sys.platform == "win32":
        return None
    try:
        return os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return None


def _close(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)


def _lock(handle: int, *, wait: bool) -> bool:
    """Lock a handle until it is closed; return False where another process has the lock or there are no locks."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True
