"""Prepared data sets on disk: written once, whole or not at all, and no more of them than there is room for."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from filelock import FileLock

from sgbench.errors import InputError, StorageError
from sgbench.paths import default_cache_dir, default_cache_gb
from sgbench.records.files import write_atomic

GB = 10**9
HEX = 16  # digits of a key in a folder's name
LOCKS = ".locks"
STAMPS = ".checksums"


def prepared(name: str, shape: Mapping[str, object], write: Callable[[Path], None]) -> Path:
    """Return the folder that `write` has filled, made at the first call for this name and shape.

    Processes that ask at once wait for the first. Killed while it writes, it leaves a folder that nobody reads and
    the next writer removes.

    Args:
        name: of the data set.
        shape: everything that decides what is written, as JSON.
        write: fills the folder.

    Raises:
        StorageError: the disk is full, or cannot be written.
        InputError: it is larger than all that prepared data sets may take.
    """
    root = default_cache_dir()
    key = hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:HEX]
    folder = root / f"{name}-{key}"
    if _used(folder):
        return folder
    try:
        (root / LOCKS).mkdir(parents=True, exist_ok=True)
        with FileLock(root / LOCKS / f"{folder.name}.lock"):
            if not _used(folder):
                _fill(folder, write)
    except InputError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"{root}: data set {name} cannot be prepared: {reason}; free space, or name another folder with "
            f"SGBENCH_CACHE"
        ) from error
    return folder


def forget(folder: Path) -> None:
    """Remove a prepared data set that turned out to be damaged."""
    shutil.rmtree(folder, ignore_errors=True)


def _used(folder: Path) -> bool:
    """Return whether the folder is there; if so, it counts as used now."""
    try:
        os.utime(folder)
    except FileNotFoundError:
        return False
    except OSError:  # somebody else's, and only to be read
        return folder.is_dir()
    return True


def _fill(folder: Path, write: Callable[[Path], None]) -> None:
    """Write a prepared data set beside its folder and rename it when it is whole, under the lock."""
    for left in folder.parent.glob(f".{folder.name}.*"):
        forget(left)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        write(temporary)
        _make_room(folder.parent, size(temporary), folder.name)
        temporary.chmod(0o755)
        temporary.rename(folder)
    except BaseException:
        forget(temporary)
        raise


def _make_room(root: Path, wanted: int, name: str) -> None:
    """Remove the prepared data sets that were not used longest, until the new one fits."""
    limit = int(default_cache_gb() * GB)
    if wanted > limit:
        raise InputError(
            f"{name} takes {wanted / GB:.2f} GB, but prepared data sets may take {limit / GB:.2f} GB; "
            f"set SGBENCH_CACHE_GB to more"
        )
    folders = sorted(entries(root), key=lambda folder: folder.stat().st_mtime, reverse=True)
    room = limit - wanted
    for folder in folders:
        room -= size(folder)
        if room < 0:
            forget(folder)


def entries(root: Path) -> list[Path]:
    """List the folders of all whole prepared data sets."""
    return [path for path in root.glob("*-*") if path.is_dir() and not path.name.startswith(".")]


def size(folder: Path) -> int:
    """Add up the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def checksum_of_files(root: Path, names: Sequence[str]) -> str:
    """Hash the names and the bytes of files, in order, by SHA-256.

    It is read from a stored copy if no file has changed its size, time or path since.

    Raises:
        InputError: a file cannot be read.
    """
    stamp = hashlib.sha256()
    for name in names:
        facts = _fingerprint(root / name)
        stamp.update(f"{root.resolve() / name}\0{facts}\n".encode())
    note = default_cache_dir() / STAMPS / stamp.hexdigest()
    if note.is_file() and len(text := note.read_text()) == 2 * hashlib.sha256().digest_size:
        return text
    found = checksum_of_checksums((name, sha256_of(root / name)) for name in names)
    write_atomic(note, found.encode())
    return found


def checksum_of_checksums(files: Iterable[tuple[str, str]]) -> str:
    """Hash the names and the SHA-256 of files, in order, by SHA-256."""
    digest = hashlib.sha256()
    for name, sha256 in files:
        digest.update(f"{name}\0{sha256}\n".encode())
    return digest.hexdigest()


def _fingerprint(path: Path) -> str:
    """Return a file's fingerprint, which changes with the file."""
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of a file of any size.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
