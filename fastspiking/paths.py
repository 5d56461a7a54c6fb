"""Finds the folders of compiled loops, in which only this user can write."""

import functools
import logging
import multiprocessing
import os
import stat
import tempfile
from pathlib import Path

from fastspiking.errors import StorageError

log = logging.getLogger("fastspiking")


def user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sgbench"


def default_loops_dir() -> Path | None:
    """Return the folder of generated loops of neurons: $SGBENCH_LOOPS or the cache; None if it is `off`."""
    if os.environ.get("SGBENCH_LOOPS") == "off":
        return None
    return Path(os.environ.get("SGBENCH_LOOPS") or user_cache() / "loops")


def default_kernels_dir() -> Path:
    """Return the default folder of the fused engine's compiled kernels, used unless $NUMBA_CACHE_DIR is set."""
    return user_cache() / "kernels"


OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def is_private(path: Path) -> bool:
    """Return whether only this user and the system's administrator can write a file or folder."""
    if not hasattr(os, "getuid"):
        return True
    status = path.stat()
    return status.st_uid in (os.getuid(), 0) and not status.st_mode & OTHERS_WRITE


def private_folder(wanted: Path) -> Path:
    """Return a folder, for files that are run as code, in which only this user can write.

    This is the wanted folder, made if needed; if others can write there, another one, and a warning is logged.
    """
    wanted.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
    if is_private(wanted):
        return wanted
    own = f"of_{os.getuid()}"
    for folder in (wanted / own, Path(tempfile.gettempdir()) / f"sgbench_{own}" / wanted.name):
        try:
            folder.parent.mkdir(mode=stat.S_IRWXU, exist_ok=True)
            folder.mkdir(mode=stat.S_IRWXU, exist_ok=True)
        except OSError:
            continue
        if is_private(folder) and (folder.parent == wanted or is_private(folder.parent)):
            _warn_once(wanted, folder)
            return folder
    raise StorageError(f"{wanted}: others can write there, and no folder of your own can be made; chmod go-w it")


@functools.cache
def _warn_once(wanted: Path, folder: Path) -> None:
    if multiprocessing.parent_process() is None:
        log.warning("%s is not used, since others can write there (chmod go-w); %s is", wanted, folder)
