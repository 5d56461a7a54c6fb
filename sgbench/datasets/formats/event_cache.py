"""A cache of prepared data sets on disk: each is written once, whole or not at all, within a limit of size."""

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
LOCKS = ".locks"  # folder of lock files
STAMPS = ".checksums"  # folder of stored checksums of original files


def prepared(name: str, identity: Mapping[str, object], write: Callable[[Path], None]) -> Path:
    """Return the cached folder of a data set; the first call for this name and identity fills it by `write`.

    Processes that call this at the same time wait for the first. A process killed while it writes leaves a
    temporary folder, which the next writer removes.
    """
    root = default_cache_dir()
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:HEX]
    folder = root / f"{name}-{key}"
    if _mark_used(folder):
        return folder
    try:
        (root / LOCKS).mkdir(parents=True, exist_ok=True)
        with FileLock(root / LOCKS / f"{folder.name}.lock"):
            if not _mark_used(folder):
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
    """Remove the folder of a prepared data set, ignoring errors."""
    shutil.rmtree(folder, ignore_errors=True)


def _mark_used(folder: Path) -> bool:
    """Set a folder's time to now, for `_make_room`; return whether the folder exists."""
    try:
        os.utime(folder)
    except FileNotFoundError:
        return False
    except OSError:  # the folder is another user's and read-only
        return folder.is_dir()
    return True


def _fill(folder: Path, write: Callable[[Path], None]) -> None:
    """Write a data set into a temporary folder and rename it to `folder` when it is whole; the lock is held."""
    for leftover in folder.parent.glob(f".{folder.name}.*"):
        forget(leftover)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        write(temporary)
        _make_room(folder.parent, size(temporary), folder.name)
        temporary.chmod(0o755)
        temporary.rename(folder)
    except BaseException:
        forget(temporary)
        raise


def _make_room(root: Path, needed_bytes: int, name: str) -> None:
    """Remove the oldest prepared data sets until `needed_bytes` more are within the limit."""
    limit = int(default_cache_gb() * GB)
    if needed_bytes > limit:
        raise InputError(
            f"{name} takes {needed_bytes / GB:.2f} GB, but prepared data sets may take {limit / GB:.2f} GB; "
            f"set SGBENCH_CACHE_GB to more"
        )
    newest_first = sorted(entries(root), key=lambda folder: folder.stat().st_mtime, reverse=True)
    free_bytes = limit - needed_bytes
    for folder in newest_first:
        free_bytes -= size(folder)
        if free_bytes < 0:
            forget(folder)


def entries(root: Path) -> list[Path]:
    """List the folders of all completely written data sets in the cache folder `root`."""
    return [path for path in root.glob("*-*") if path.is_dir() and not path.name.startswith(".")]


def size(folder: Path) -> int:
    """Return the total size of all files below a folder [bytes]."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def checksum_of_files(root: Path, names: Sequence[str]) -> str:
    """Return one SHA-256 of the names and contents of files in the folder `root`, in order.

    The result is stored in the cache, and read from there as long as no file's path, size or time changes.
    """
    state = hashlib.sha256()
    for name in names:
        state.update(f"{root.resolve() / name}\0{_file_state(root / name)}\n".encode())
    stored = default_cache_dir() / STAMPS / state.hexdigest()
    if stored.is_file() and len(text := stored.read_text()) == 2 * hashlib.sha256().digest_size:
        return text
    found = checksum_of_checksums((name, sha256_of(root / name)) for name in names)
    write_atomic(stored, found.encode())
    return found


def checksum_of_checksums(files: Iterable[tuple[str, str]]) -> str:
    digest = hashlib.sha256()
    for name, sha256 in files:
        digest.update(f"{name}\0{sha256}\n".encode())
    return digest.hexdigest()


def _file_state(path: Path) -> str:
    """Return size, time of change and inode of a file: if they are the same, so are its bytes."""
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"


def sha256_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
