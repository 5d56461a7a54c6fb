"""Where the compiled loops of this room are kept: by the text of all of them together.

numba finds what it has compiled by the text of a function's own file. These loops are copied into each other across
files, so that one whose file is as it was may have been compiled of others that are not any more. A folder named
after all the text is never out of date, and every checkout and environment of this text shares it.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import caching, config

from sgbench.errors import StorageError
from sgbench.paths import default_kernels_dir, private_folder

ROOM = Path(__file__).resolve().parent
LOOPS = "sgbench_loops_"
"""Beginning of the names of modules that are written."""
LOCATORS: list[Any] = getattr(caching, "CacheImpl", getattr(caching, "_CacheImpl", None))._locator_classes  # type: ignore[union-attr]
"""numba's own ways to find a folder, of which the first that finds one is taken."""


@functools.cache
def text_sha256(folder: Path) -> str:
    """Hash all loops in a folder and the version of what compiles them."""
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


class ByText(caching._CacheLocator):
    """Tells numba the folder of a loop of this package, which nobody but this user can write: an index is a pickle.

    Args:
        function: that is to be compiled.
        folder: of what is compiled.
        stamp: by which numba tells whether that is out of date.
    """

    def __init__(self, function: Callable[..., Any], folder: Path, stamp: str) -> None:
        self._line = function.__code__.co_firstlineno
        self._folder, self._stamp = private_folder(folder), stamp

    def get_cache_path(self) -> str:
        """Return the cache folder."""
        return str(self._folder)

    def get_source_stamp(self) -> str:
        """Return the hash of the text, by which numba tells whether its cache is out of date."""
        return self._stamp

    def get_disambiguator(self) -> str:
        """Return the function's line number, which distinguishes functions of one name."""
        return str(self._line)

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> ByText | None:
        """Locate the cache of a loop of this package in a writable folder; None defers to numba's own locators.

        Loops of this room, and functions that written loops call, lie in a folder named after their text; written
        loops, which are named after theirs, lie beside their source.

        Raises:
            RuntimeError: there is no folder that others cannot write.
        """
        path = Path(py_file).resolve()
        try:
            if path.name.startswith(LOOPS):
                locator = cls(py_func, path.parent / "__pycache__", path.stem)
            elif path.parent == ROOM:
                locator = cls(py_func, _above() / f"kernels_{text_sha256(ROOM)[:20]}", text_sha256(ROOM))
            elif path.is_relative_to(ROOM.parent):
                stamp = hashlib.sha256(path.read_bytes()).hexdigest()
                locator = cls(py_func, _above() / f"{path.stem}_{stamp[:20]}", stamp)
            else:
                return None
            locator.ensure_cache_path()
        except StorageError as error:  # numba's own locators would take the folder
            raise RuntimeError(str(error)) from error
        except OSError:
            return None
        return locator


def _above() -> Path:
    chosen: str = getattr(config, "CACHE_DIR", "")  # numba sets it from the environment
    return Path(chosen) if chosen else default_kernels_dir()


def keep_by_text() -> None:
    """Register `ByText` in front of numba's own cache locators, in this process."""
    if ByText not in LOCATORS:
        LOCATORS.insert(0, ByText)
