"""Unpacking archives that a stranger made: plain files below one folder, no more than expected, all or nothing."""

from __future__ import annotations

import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from sgbench.errors import InputError

MOST_FILES = 1_000_000
CHUNK = 1 << 20
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError)


class Member(NamedTuple):
    """Describes one file of an archive."""

    name: str
    bytes_: int  # as declared
    open: Callable[[], IO[bytes] | None]


def unpack(archive: Path, folder: Path, *, most_bytes: int) -> list[str]:
    """Put the files of a zip or tar into a folder, and return their names.

    They are unpacked beside and moved into place when all are whole, so a damaged archive changes nothing.

    Args:
        archive: to read.
        folder: that exists.
        most_bytes: that all files may have together; more is taken for a bomb.

    Raises:
        InputError: damaged, larger than that, or with a member that is no plain file inside the folder; one line.
        OSError: the disk is full, or cannot be written.
    """
    temporary = Path(tempfile.mkdtemp(prefix=f".{archive.name}.", dir=folder))
    try:
        names = _unpack_into(archive, temporary, most_bytes)
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return names


def _unpack_into(archive: Path, folder: Path, most_bytes: int) -> list[str]:
    """Unpack an archive's files into a folder; return their names."""
    names: list[str] = []
    left = most_bytes
    try:
        for member in _members(archive):
            if len(names) >= MOST_FILES or member.bytes_ > left:
                raise InputError(
                    f"{archive}: unpacks to more than {most_bytes / 1e9:g} GB or {MOST_FILES} files, far more than "
                    f"the data set has"
                )
            name = _require_inside(archive, member.name)
            source = member.open()
            if source is None:
                raise InputError(f"{archive}: member {member.name!r} is no plain file")
            with source:
                left -= _copy(archive, source, folder / name, member.bytes_)
            names.append(name)
    except DAMAGED as error:
        raise InputError(f"{archive}: damaged ({error}); remove it and fetch it again") from error
    return names


def _copy(archive: Path, source: IO[bytes], path: Path, declared: int) -> int:
    """Copy the bytes of a member, as many as are declared."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with path.open("xb") as target:
        while chunk := source.read(CHUNK):
            written += len(chunk)
            if written > declared:
                raise InputError(f"{archive}: a member is larger than it declares")
            target.write(chunk)
    return written


def _require_inside(archive: Path, name: str) -> str:
    """Require that a member's name leads nowhere but down, and return it."""
    path = PurePosixPath(name)
    if (
        path.is_absolute()
        or ".." in path.parts
        or "\\" in name
        or ":" in name
        or "\0" in name
        or not path.parts
    ):
        raise InputError(f"{archive}: member {name!r} leads out of the folder; not unpacked")
    return path.as_posix()


def _members(archive: Path) -> Iterator[Member]:
    """Yield all files of an archive, in order; folders are made as needed, and anything else is refused."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            for info in packed.infolist():
                if info.is_dir():
                    continue
                if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
                    raise InputError(
                        f"{archive}: member {info.filename!r} is a link or a device; not unpacked"
                    )
                yield Member(info.filename, info.file_size, lambda info=info: packed.open(info))
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as packed_:
            for info in packed_:
                if info.isdir():
                    continue
                if not info.isreg():
                    raise InputError(f"{archive}: member {info.name!r} is a link or a device; not unpacked")
                yield Member(info.name, info.size, lambda info=info: packed_.extractfile(info))
    else:
        raise InputError(f"{archive}: neither a zip nor a tar file; remove it and fetch it again")
