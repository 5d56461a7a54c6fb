"""Finding and reading the files of a data set, packed or not."""

import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sgbench.errors import InputError


def find(name: str, folders: Sequence[Path], remedy: str) -> Path:
    for path in candidates(name, folders):
        if path.is_file():
            return path
    searched = " and ".join(str(folder) for folder in folders)
    raise InputError(f"{name} is not in {searched}; {remedy}")


def problem_of(check: Callable[[], object]) -> str | None:
    """Call a function and return the text of the InputError that it raises, or None."""
    try:
        check()
    except InputError as error:
        return str(error)
    return None


def candidates(name: str, folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        yield folder / name
        yield folder / name.removesuffix(".gz")


def contents(path: Path) -> bytes:
    """Read the bytes of a file; one that ends in .gz is unpacked."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return file.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: cut off or damaged ({error}); fetch it again") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
