"""Files and folders that are written under a temporary name, and removal of those that killed processes left.

A writer locks its temporary file or folder, and the system releases the lock when the process ends in any way. So a
temporary file without a lock was abandoned.
"""

import contextlib
import glob
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

ENDING = ".part"
"""Suffix of temporary names, which also begin with a dot; `.gitignore` excludes it."""


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Create an empty, locked file beside `path` under a temporary name; remove it at the end unless renamed."""

    def make() -> Path:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=ENDING)
        os.close(handle)
        return Path(name)

    with _locked(make) as temporary:
        yield temporary


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Create an empty, locked folder beside `folder` under a temporary name, as `new_file` does."""

    def make() -> Path:
        return Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=ENDING))

    with _locked(make) as temporary:
        yield temporary


@contextlib.contextmanager
def _locked(make: Callable[[], Path]) -> Iterator[Path]:
    """Hold a new, locked folder or file; it is removed at the end."""
    temporary, handle = make(), None
    try:
        while not _lock_new(handle := _open(temporary), temporary):
            _close(handle)
            temporary = make()
        yield temporary
    finally:
        _remove(temporary)
        _close(handle)


def _lock_new(handle: int | None, temporary: Path) -> bool:
    """Lock a file just created; return False if another process has removed it before, as it had no lock yet."""
    if handle is not None:
        _lock(handle, wait=True)
    return temporary.exists()


def abandoned(folder: Path) -> list[Path]:
    """List the temporary files and folders below `folder` that killed processes left; no link is followed.

    On a system without file locks the list is empty.
    """
    return [path for path in _temporaries(folder) if _is_unlocked(path)]


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files and folders below `folder` that killed processes left, ignoring errors."""
    for path in _temporaries(folder):
        _is_unlocked(path, remove=True)


def remove_abandoned_of(path: Path) -> None:
    """Remove the temporary files that killed processes left while they were writing `path`, ignoring errors."""
    for temporary in sorted(path.parent.glob(f".{glob.escape(path.name)}.*{ENDING}")):
        _is_unlocked(temporary, remove=True)


def _temporaries(folder: Path) -> Iterator[Path]:
    """Yield temporary files and folders below a folder, without looking into the temporary ones."""
    for parent, folders, files in os.walk(folder):
        temporary = [name for name in folders if _is_temporary(name)]
        folders[:] = sorted(set(folders) - set(temporary))
        yield from (Path(parent) / name for name in sorted([*temporary, *filter(_is_temporary, files)]))


def _is_temporary(name: str) -> bool:
    return name.startswith(".") and name.endswith(ENDING)


def _is_unlocked(path: Path, *, remove: bool = False) -> bool:
    """Return whether no process has locked a file or folder; with `remove`, remove it while holding the lock."""
    handle = _open(path)
    if handle is None:
        return False
    try:
        is_unlocked = _lock(handle, wait=False)
        if is_unlocked and remove:
            _remove(path)
        return is_unlocked
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
    """Lock a handle until it is closed; return False if another process has the lock or the system has no locks."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True
