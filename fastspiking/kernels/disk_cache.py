"""The cache folder of compiled loops, named after a hash of the source of all of them together.

numba caches a compiled function by the text of its own file. These loops are inlined into each other across files,
so a function of an unchanged file may contain an old version of another. A folder named after the whole text is
never out of date, and every checkout and environment with this text shares it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
from filelock import FileLock, Timeout
from numba.core import caching, config, event

from fastspiking.errors import StorageError
from fastspiking.paths import default_kernels_dir, private_folder

log = logging.getLogger("fastspiking")
ROOM = Path(__file__).resolve().parent
LOOPS = "sgbench_loops_"
"""Prefix of the names of generated modules."""
LOCATORS: list[Any] = getattr(caching, "CacheImpl", getattr(caching, "_CacheImpl", None))._locator_classes  # type: ignore[union-attr]
"""numba's classes that locate a cache folder; the first that finds one is used."""
OURS = (str(ROOM.parent), LOOPS)
"""What the file names of our loops contain."""
NOTE = "compiling loops, once for this machine; ten seconds or so"
WAIT_S = 60.0
"""Longest wait for another process that compiles the same loops; after it this process compiles them too."""


@functools.cache
def text_sha256(folder: Path) -> str:
    """Return the SHA-256, in hexadecimal, of all Python files in a folder and numba's version."""
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


class ByText(caching._CacheLocator):
    """Locates numba's cache of one loop in a folder that only this user can write, since its index is a pickle.

    `function`: the loop to be compiled; `folder`: where its machine code is cached; `stamp`: a text that changes
    whenever that machine code is out of date.
    """

    def __init__(self, function: Callable[..., Any], folder: Path, stamp: str) -> None:
        self._line = function.__code__.co_firstlineno
        self._folder, self._stamp = private_folder(folder), stamp

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        """Return the stamp; numba compiles anew where the cached one differs."""
        return self._stamp

    def get_disambiguator(self) -> str:
        """Return the function's line number, which distinguishes functions of one name."""
        return str(self._line)

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> ByText | None:
        """Locate the cache of a function in file `py_file`; None, for foreign functions, leaves it to numba.

        Loops of this folder, and functions that generated loops call, are cached in a folder named after their
        text. Generated loops, whose modules are named after theirs, are cached beside their source.
        """
        path = Path(py_file).resolve()
        try:
            if path.name.startswith(LOOPS):
                locator = cls(py_func, path.parent / "__pycache__", path.stem)
            elif path.parent == ROOM:
                locator = cls(py_func, _cache_root() / f"kernels_{text_sha256(ROOM)[:20]}", text_sha256(ROOM))
            elif path.is_relative_to(ROOM.parent):
                stamp = hashlib.sha256(path.read_bytes()).hexdigest()
                locator = cls(py_func, _cache_root() / f"{path.stem}_{stamp[:20]}", stamp)
            else:
                return None
            locator.ensure_cache_path()
        except StorageError as error:  # numba's own locators would take the folder
            raise RuntimeError(str(error)) from error
        except OSError:
            return None
        return locator


@contextlib.contextmanager
def compile_lock(path: Path) -> Iterator[None]:
    """Lock a file so that one process compiles what others wait for; without locks each compiles for itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    with contextlib.suppress(Timeout, NotImplementedError):
        lock.acquire(timeout=WAIT_S)
    try:
        yield
    finally:
        lock.release()


def is_empty() -> bool:
    """Return whether no loop of this folder's present text has been compiled on this machine."""
    return not any((_cache_root() / f"kernels_{text_sha256(ROOM)[:20]}").glob("*.nbi"))


def _cache_root() -> Path:
    """Return the folder of all caches of kernels: the user's choice for numba, or the default one."""
    chosen: str = getattr(config, "CACHE_DIR", "")  # numba sets it from the environment
    return Path(chosen) if chosen else default_kernels_dir()


def keep_by_text() -> None:
    """Register `ByText` in front of numba's own cache locators, and `note`, in this process."""
    if ByText not in LOCATORS:
        LOCATORS.insert(0, ByText)
        event.register("numba:compile", note)


class CompileNote(event.Listener):
    """Logs a message the first time in this process that numba compiles one of our loops that no cache has."""

    def __init__(self) -> None:
        self._is_logged = False

    def on_start(self, event: Any) -> None:
        """Log the message when numba begins to compile."""
        file = event.data["dispatcher"].py_func.__code__.co_filename
        if any(part in file for part in OURS):
            self.say()

    def on_end(self, event: Any) -> None:
        """Do nothing when numba has finished compiling."""

    def say(self) -> None:
        if not self._is_logged:
            log.warning(NOTE)
        self._is_logged = True


note = CompileNote()
