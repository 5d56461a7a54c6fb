"""Where the files of a data set are, and whether they are the published ones; without torch."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from sgbench.errors import InputError


def find(name: str, folders: Sequence[Path], remedy: str) -> Path:
    """Find the first of the folders' files of this name, packed (.gz) or not.

    Args:
        name: of the file as published, with .gz.
        folders: to look in, the user's own first.
        remedy: what to do if there is none.

    Raises:
        InputError: there is none; one line with the folders and the remedy.
    """
    for path in candidates(name, folders):
        if path.is_file():
            return path
    searched = " and ".join(str(folder) for folder in folders)
    raise InputError(f"{name} is not in {searched}; {remedy}")


def candidates(name: str, folders: Sequence[Path]) -> Iterator[Path]:
    """List all paths at which a file may lie, packed or not."""
    for folder in folders:
        yield folder / name
        yield folder / name.removesuffix(".gz")


def contents(path: Path) -> bytes:
    """Read the bytes of a file, unpacked.

    Raises:
        InputError: it cannot be read, or is cut off or damaged.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return file.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: cut off or damaged ({error}); fetch it again") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
