"""Crash-safe writing of files, and strict reading of untrusted JSON files."""

from __future__ import annotations

import errno
import json
import lzma
import os
import stat
import tempfile
import textwrap
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from sgbench.errors import InputError, StorageError, printable
from sgbench.records.base import Fraction, MethodId, Natural, Number, Positive, Strict, Text, whole
from sgbench.records.record import RunRecord
from sgbench.records.spec import ParameterPath, ProtocolName
from sgbench.records.unfinished import new_file, new_folder, remove_abandoned

MAX_BYTES = 4 * 1024 * 1024
PAGE = 4096
NO_LINK, NO_WAIT = getattr(os, "O_NOFOLLOW", 0), getattr(os, "O_NONBLOCK", 0)
NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)
"""Error numbers of opening a path that does not exist, is a link, or is a pipe or socket."""
Model = TypeVar("Model", bound=BaseModel)


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file such that readers, and a crash at any moment, find the old or the new contents, never a part.

    The folder is created if needed. A killed process leaves a temporary file, which `remove_abandoned` finds.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(path) as temporary:
            _store(temporary, data)
            temporary.chmod(0o644)
            temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise _not_written(path, error) from error


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a new folder such that a crash at any moment, or a full disk, leaves all of it or nothing.

    Temporary files that killed processes left beside it are removed.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder.parent)
        with new_folder(folder) as temporary:
            for name, data in files.items():
                (temporary / name).parent.mkdir(parents=True, exist_ok=True)
                _store(temporary / name, data)
            temporary.chmod(0o755)
            _sync_folder(temporary)
            if folder.is_symlink() or folder.exists():
                raise InputError(f"{folder}: is there already; remove it, or choose another place with --to")
            temporary.rename(folder)
        _sync_folder(folder.parent)
    except OSError as error:
        raise _not_written(folder, error) from error


def _store(path: Path, data: bytes) -> None:
    """Write bytes and wait until they are on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _not_written(path: Path, error: OSError) -> StorageError:
    reason = error.strerror or str(error)
    return StorageError(f"{path} cannot be written: {reason}; free space or choose another folder")


def require_writable(folder: Path) -> None:
    """Create a folder if needed, and test by a temporary file that it can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(PAGE))
            file.flush()
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"{folder} cannot be written: {reason}; choose another folder") from error


def _sync_folder(folder: Path) -> None:
    """Store a folder's list of files on disk at once, if the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def to_json(model: BaseModel) -> bytes:
    """Convert a record to the JSON that is stored: sorted keys, indented, a newline at the end."""
    text = json.dumps(model.model_dump(mode="json"), indent=1, sort_keys=True, allow_nan=False)
    return text.encode() + b"\n"


def read_model(path: Path, model: type[Model]) -> Model:
    """Read a JSON file and validate it as a pydantic model."""
    return parse_model(read_bytes(path), model, str(path))


def read_bytes(path: Path, *, limit: int = MAX_BYTES) -> bytes:
    """Read a regular file of at most `limit` bytes; InputError for links, devices and what cannot be read."""
    try:
        handle = os.open(path, os.O_RDONLY | NO_LINK | NO_WAIT)
    except ValueError as error:  # a zero byte in a name
        raise InputError(f"{path}: cannot be read: {error}") from error
    except OSError as error:
        if error.errno in NO_FILE:
            raise InputError(f"{path}: a regular file is needed") from error
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    # The open handle is checked, not the path, so that the file cannot be exchanged before it is read.
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
    """Validate JSON as a pydantic model; duplicate keys, NaN, deep nesting and text instead of numbers are refused."""
    parse_tree(data, name)  # for its checks: pydantic accepts duplicate keys
    # From JSON, not from the tree: only so does strict validation accept lists as tuples.
    try:
        return model.model_validate_json(data, strict=True, context=context)
    except ValidationError as error:
        raise InputError(f"{name}: {first_problem(error)}") from error


def parse_tree(data: bytes, name: str) -> object:
    """Parse JSON; raise InputError for invalid JSON, duplicate keys, NaN, infinity and deep nesting."""
    try:
        return json.loads(data, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except RecursionError:
        raise InputError(f"{name}: nested too deeply") from None
    except (ValueError, OverflowError) as error:
        raise InputError(f"{name}: not a valid JSON file: {error}") from error


def first_problem(error: ValidationError) -> str:
    """Write the first of pydantic's problems on one line: field, problem, value, and how many more there are."""
    problems = error.errors(include_url=False)
    problem = problems[0]
    field = textwrap.shorten(".".join(str(part) for part in problem["loc"]), 160, placeholder="...")
    value = textwrap.shorten(repr(problem["input"]), 60, placeholder="...")
    message = problem["msg"].removeprefix("Value error, ")
    has_value = problem["type"] != "missing" and not isinstance(problem["input"], dict)
    shown = f" (given: {value})" if has_value else ""
    more = f"; and {len(problems) - 1} more" if len(problems) > 1 else ""
    return printable(f"{field or 'the whole'}: {message}{shown}{more}")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make a JSON object of its pairs; ValueError if a key stands twice, where `dict` would keep the last."""
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        times = Counter(key for key, _ in pairs)
        twice = next(key for key, count in times.items() if count > 1)
        raise ValueError(f"key {twice!r} stands twice")
    return mapping


def _refuse_constant(text: str) -> NoReturn:
    """Raise ValueError for NaN and infinity, which Python's JSON parser would accept."""
    raise ValueError(f"{text} is not a number")


MAX_SHARD_BYTES = 64 * 1024**2
MAX_PLAIN_BYTES = 512 * 1024**2
"""Largest unpacked size of a shard."""
MEMORY_BYTES = 256 * 1024**2  # that unpacking may take beside the result


class ShardLine(Strict):
    """Describes one line of a shard: a run's block, task and cell beside its record."""

    block: Text
    task: Text
    cell: dict[str, Any]
    record: RunRecord


def read_shard(path: Path) -> bytes:
    return read_bytes(path, limit=MAX_SHARD_BYTES)


def shard_lines(path: Path, data: bytes) -> list[bytes]:
    """Unpack the packed bytes of a shard and split them into lines; errors are those of `unpacked`."""
    return unpacked(path, data).splitlines()


def unpacked(path: Path, data: bytes) -> bytes:
    """Unpack the bytes of an xz file within limits of memory and size; `path` is only named in errors."""
    try:
        unpacker = lzma.LZMADecompressor(memlimit=MEMORY_BYTES)
        plain = unpacker.decompress(data, max_length=MAX_PLAIN_BYTES)
    except lzma.LZMAError as error:
        raise InputError(f"{path}: not a readable xz file: {error}") from error
    if not unpacker.eof:
        raise InputError(f"{path}: is cut off, or unpacks to more than {MAX_PLAIN_BYTES // 1024**2} MiB")
    if unpacker.unused_data:
        raise InputError(f"{path}: holds bytes behind its end; take it from the repository again")
    return plain


PRUNED = "pruned.json"  # file in the folder of a run that was stopped early
JOURNALS = ".tuning"  # folder in the folder of a protocol's runs
JOURNAL_VERSION = 1
JournalVersion = Annotated[Literal[1], BeforeValidator(whole)]
Strategy = Literal["random", "sobol", "tpe"]


class Pruned(Strict):
    """Says where a run was stopped for its validation curve, and its best scores until then."""

    method_id: MethodId
    seed: Natural
    epochs: Positive  # trained
    validation_accuracy: Fraction | None  # None where there are no classes
    validation_loss: Number


class Asked(Strict):
    """Describes one setting that a search has asked for, before anything of it ran."""

    study: Natural
    number: Natural  # in its study
    method_id: MethodId
    setting: dict[ParameterPath, Number]


class Journal(Strict):
    """Lists all settings that a method's studies have asked for; their results stand in records alone."""

    schema_version: JournalVersion
    protocol: ProtocolName
    strategy: Strategy
    base_id: MethodId  # of the method in the middle of its space
    asked: Annotated[tuple[Asked, ...], Field(max_length=20_000)]

    @model_validator(mode="after")
    def _once(self) -> Journal:
        numbers = [(trial.study, trial.number) for trial in self.asked]
        if len(set(numbers)) < len(numbers):
            raise ValueError("asked: a setting stands twice at one place of a study")
        return self

    def of_study(self, study: int) -> list[Asked]:
        """Return the settings that one study has proposed, in order of their numbers."""
        return sorted((trial for trial in self.asked if trial.study == study), key=lambda trial: trial.number)


def read_journals(folder: Path) -> list[Journal]:
    """Read all journals in the folder of a protocol's runs, except damaged ones."""
    journals = []
    for path in sorted((folder / JOURNALS).glob("*.json")):
        journal = readable(path)
        if journal is not None:
            journals.append(journal)
    return journals


def readable(path: Path) -> Journal | None:
    """Read a journal; return None if it is missing or damaged, since a search can propose its settings anew."""
    try:
        return read_model(path, Journal)
    except InputError:
        return None
