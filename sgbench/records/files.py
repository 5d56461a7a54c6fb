"""Text files that survive a crash, and reading ones that a stranger wrote."""

from __future__ import annotations

import errno
import json
import os
import stat
import tempfile
import textwrap
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from sgbench.errors import InputError, StorageError, printable
from sgbench.records.unfinished import new_file, new_folder, remove_abandoned

MAX_BYTES = 4 * 1024 * 1024
PAGE = 4096
NO_LINK, NO_WAIT = getattr(os, "O_NOFOLLOW", 0), getattr(os, "O_NONBLOCK", 0)
NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)
"""What opening says of a path with nothing there, a link, or a pipe or socket."""
Model = TypeVar("Model", bound=BaseModel)


def write_atomic(path: Path, data: bytes) -> None:
    """Write so that a reader, or a crash at any moment, finds the old bytes or the new, never a part.

    A process that is killed meanwhile leaves a file under a passing name, see `sgbench.records.unfinished`.

    Raises:
        StorageError: the folder is read-only, full or missing rights.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(path) as passing:
            _store(passing, data)
            passing.chmod(0o644)
            passing.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise _not_written(path, error) from error


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a new folder so that a crash at any moment, or a full disk, leaves the whole of it or nothing.

    What killed processes left beside it under passing names is removed.

    Raises:
        InputError: it is there already.
        StorageError: it cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder.parent)
        with new_folder(folder) as passing:
            for name, data in files.items():
                (passing / name).parent.mkdir(parents=True, exist_ok=True)
                _store(passing / name, data)
            passing.chmod(0o755)
            _sync_folder(passing)
            if folder.is_symlink() or folder.exists():
                raise InputError(f"{folder}: is there already; remove it, or choose another place with --to")
            passing.rename(folder)
        _sync_folder(folder.parent)
    except OSError as error:
        raise _not_written(folder, error) from error


def _store(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _not_written(path: Path, error: OSError) -> StorageError:
    reason = error.strerror or str(error)
    return StorageError(f"{path} cannot be written: {reason}; free space or choose another folder")


def require_writable(folder: Path) -> None:
    """Create a folder and write a page of zeros to test that it can be written, which a full disk refuses.

    Raises:
        StorageError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(PAGE))
            file.flush()
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"{folder} cannot be written: {reason}; choose another folder") from error


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def to_json(model: BaseModel) -> bytes:
    """Write the stored form of a record: sorted, indented, one newline at the end."""
    text = json.dumps(model.model_dump(mode="json"), indent=1, sort_keys=True, allow_nan=False)
    return text.encode() + b"\n"


def read_model(path: Path, model: type[Model]) -> Model:
    """Read one stored file and validate it as a model.

    Raises:
        InputError: the file is missing, a link, too large, not JSON, or not of this schema; one line.
    """
    return parse_model(read_bytes(path), model, str(path))


def read_bytes(path: Path, *, limit: int = MAX_BYTES) -> bytes:
    """Read the bytes of a regular file of at most `limit` bytes that is not a link.

    Raises:
        InputError: it is something else, or cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | NO_LINK | NO_WAIT)
    except ValueError as error:  # a zero byte in a name
        raise InputError(f"{path}: cannot be read: {error}") from error
    except OSError as error:
        if error.errno in NO_FILE:
            raise InputError(f"{path}: a regular file is needed") from error
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    # What was opened is looked at, so that nobody can put something else in its place before it is read.
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or (not NO_LINK and path.is_symlink()):
            raise InputError(f"{path}: a regular file is needed")
        if status.st_size > limit:
            raise InputError(f"{path}: larger than {limit // 1024**2} MiB, which none of its kind is")
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(status.st_size)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    finally:
        os.close(handle)


def parse_model(data: bytes, model: type[Model], name: str, *, context: object = None) -> Model:
    """Validate bytes as a model; duplicate keys, NaN, deep nesting and text in place of a number are refused.

    Args:
        data: JSON in UTF-8.
        model: what it has to be.
        name: of the file, for messages.
        context: what the model's validators may look at, see `RunRecord`.

    Raises:
        InputError: the bytes are not JSON, or not of this schema; one line.
    """
    # Twice, because pydantic keeps the last of two equal keys; its own reading takes lists as tuples though it is
    # strict, which it does not for a tree.
    parse_tree(data, name)
    try:
        return model.model_validate_json(data, strict=True, context=context)
    except ValidationError as error:
        raise InputError(f"{name}: {first_problem(error)}") from error


def parse_tree(data: bytes, name: str) -> object:
    """Parse bytes as JSON, or raise an `InputError` on duplicate keys, NaN, infinity and deep nesting."""
    try:
        return json.loads(data, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except RecursionError:
        raise InputError(f"{name}: nested too deeply") from None
    except (ValueError, OverflowError) as error:
        raise InputError(f"{name}: not a valid JSON file: {error}") from error


def first_problem(error: ValidationError) -> str:
    """Write the first complaint of pydantic on one line: where, what, and how many more there are."""
    problems = error.errors(include_url=False)
    problem = problems[0]
    where = textwrap.shorten(".".join(str(part) for part in problem["loc"]), 160, placeholder="...")
    given = repr(problem["input"])
    given = textwrap.shorten(given, 60, placeholder="...")
    what = problem["msg"].removeprefix("Value error, ")
    shown = "" if problem["type"] == "missing" or isinstance(problem["input"], dict) else f" (given: {given})"
    more = f"; and {len(problems) - 1} more" if len(problems) > 1 else ""
    return printable(f"{where or 'the whole'}: {what}{shown}{more}")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        times = Counter(key for key, _ in pairs)
        twice = next(key for key, count in times.items() if count > 1)
        raise ValueError(f"key {twice!r} stands twice")
    return mapping


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")
