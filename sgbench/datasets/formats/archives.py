"""Unpacking of untrusted archives: only plain files inside one folder, of limited size, and all or none of them."""

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
    bytes_: int  # declared size
    open: Callable[[], IO[bytes] | None]  # opens the file's contents; None if it is no plain file


def unpack(archive: Path, folder: Path, *, most_bytes: int) -> list[str]:
    """Unpack the files of a zip or tar archive into a folder; return their names relative to it.

    They are unpacked into a temporary folder and moved when all are whole, so a damaged archive changes nothing.
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
    """Unpack an archive's files one by one into a folder; arguments, result and errors are those of `unpack`."""
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
    """Copy an archive member to a new file; return its size, or raise InputError if that exceeds `declared`."""
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
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name or not path.parts:
        raise InputError(f"{archive}: member {name!r} leads out of the folder; not unpacked")
    return path.as_posix()


def _members(archive: Path) -> Iterator[Member]:
    """Yield all files of an archive in order, without its folders; raise InputError for links and devices."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zip_file:
            for info in zip_file.infolist():
                if info.is_dir():
                    continue
                if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
                    raise InputError(f"{archive}: member {info.filename!r} is a link or a device; not unpacked")
                yield Member(info.filename, info.file_size, lambda info=info: zip_file.open(info))
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar_file:
            for info in tar_file:
                if info.isdir():
                    continue
                if not info.isreg():
                    raise InputError(f"{archive}: member {info.name!r} is a link or a device; not unpacked")
                yield Member(info.name, info.size, lambda info=info: tar_file.extractfile(info))
    else:
        raise InputError(f"{archive}: neither a zip nor a tar file; remove it and fetch it again")
