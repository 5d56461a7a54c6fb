"""Fetching the originals of a data set: continued where it was cut off, compared with what is published."""

from __future__ import annotations

import hashlib
import http.client
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout
from tqdm.auto import tqdm

from sgbench.datasets.event_files import FileToFetch
from sgbench.datasets.formats.archives import unpack
from sgbench.errors import InputError, StorageError
from sgbench.records.files import write_atomic

CHUNK = 1 << 20
TIMEOUT_S = 60
CHECKSUMS = "checksums.json"
PARTIAL, FORBIDDEN_RANGE = 206, 416
AGENT = "sgbench (data download)"
AGAIN = "; the same command continues"
ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar")
MOST_INSIDE = 100  # archives within archives


class Fetched(Protocol):
    """Says what is fetched for a data set, and where it is put."""

    @property
    def name(self) -> str:
        """Return the name of its entry."""
        ...

    @property
    def folder(self) -> str:
        """Return the folder below the data root."""
        ...

    @property
    def downloads(self) -> Sequence[FileToFetch]:
        """List the files; none where no program is let in."""
        ...

    @property
    def by_hand(self) -> str:
        """Explain how to get the files by hand."""
        ...


def fetch(data_set: Fetched, data_dir: Path) -> list[str]:
    """Fetch and unpack what is missing of a data set, and return a line for each file.

    Raises:
        InputError: the server has no such file, sends something else, or stops half-way, after which the same
            command continues.
        StorageError: the disk is full, or cannot be written.
    """
    root = data_dir / data_set.folder
    if not data_set.downloads:
        raise InputError(f"data set {data_set.name} is fetched by hand: {data_set.by_hand}")
    lines: list[str] = []
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".download.lock", timeout=0):
            if all(download.name in known(root) for download in data_set.downloads):
                (root / CHECKSUMS).unlink()  # what was fetched before has gone since
            lines += [_fetch_one(data_set, download, root) for download in data_set.downloads]
    except Timeout:
        raise InputError(f"{root}: another process is fetching this data set; wait for it") from None
    except InputError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"{root} cannot be written: {reason}; free space, or name another --data-dir"
        ) from error
    return lines


def _fetch_one(data_set: Fetched, download: FileToFetch, root: Path) -> str:
    """Fetch one file unless it is there, and hold it against its checksum."""
    path = root / download.name
    done = known(root).get(download.name)
    if done is not None and done["md5"] == download.md5:
        return f"{download.name}: was fetched before, sha256 {done['sha256'][:12]}"
    url, (md5, sha256) = (
        _placed_by_hand(data_set, download, path) if path.is_file() else _fetch(data_set, download, path)
    )
    size = path.stat().st_size
    files = _unpack_all(path, root, download.unpacked_bytes)
    facts = {"url": url, "bytes": size, "md5": md5, "sha256": sha256}
    table = {**known(root), download.name: facts}
    write_atomic(root / CHECKSUMS, json.dumps(table, indent=1, sort_keys=True).encode() + b"\n")
    if files and path.is_file():
        path.unlink()  # what was in it is there
    return (
        f"{download.name}: {size / 1e6:.1f} MB, md5 right, sha256 {sha256[:12]}; {len(files)} files unpacked"
    )


def known(root: Path) -> dict[str, Any]:
    """Read which files were fetched and unpacked, with their sizes and checksums."""
    try:
        checksums = json.loads((root / CHECKSUMS).read_text())
    except (OSError, ValueError):
        return {}
    return checksums if isinstance(checksums, dict) else {}


def _unpack_all(path: Path, root: Path, most_bytes: int) -> list[str]:
    """Unpack an archive, and the archives in it."""
    if not path.name.endswith(ARCHIVES):
        return []
    files, inside = [], [path]
    for number in range(MOST_INSIDE):
        if number >= len(inside):
            break
        for name in unpack(inside[number], root, most_bytes=most_bytes):
            (inside if name.endswith(ARCHIVES) else files).append(root / name)
    for archive in inside[1:]:
        archive.unlink(missing_ok=True)
    return [file.relative_to(root).as_posix() for file in files]


class AddressError(InputError):
    """Says why one address did not give the file; another may."""


def _placed_by_hand(data_set: Fetched, download: FileToFetch, path: Path) -> tuple[str, tuple[str, str]]:
    """Return the address and the checksums of a file that somebody has put there."""
    try:
        return download.url, _compare(path, download)
    except AddressError as error:
        raise InputError(f"{path}: {error}; {data_set.by_hand}") from None


def _fetch(data_set: Fetched, download: FileToFetch, path: Path) -> tuple[str, tuple[str, str]]:
    """Fetch a file from the first address that gives it whole; return that address and the file's checksums.

    It grows in NAME.part, from where that ends, and gets its name once its checksum is right.
    """
    part = path.with_name(path.name + ".part")
    failures: list[str] = []
    for url in (download.url, *download.mirrors):
        try:
            checksums = _attempt(url, part, download)
        except AddressError as failure:
            failures.append(f"{url}: {failure}")
        else:
            part.replace(path)
            return url, checksums
    before = [line.removesuffix(AGAIN) for line in failures[:-1]]
    raise InputError("; ".join([*before, failures[-1], data_set.by_hand]))


def _attempt(url: str, part: Path, download: FileToFetch) -> tuple[str, str]:
    """Fetch what is missing of a part from one address and return its checksums.

    A part that was continued and is not the file may have been of another one: it is fetched once more, from its
    first byte on.
    """
    have = part.stat().st_size if part.is_file() else 0
    try:
        _transfer(_request(url, have), part, download.name)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != FORBIDDEN_RANGE or not have:
            raise AddressError(f"the server answers {error.code} {error.reason}") from None
        # Nothing follows what is here: it is whole, or not the file.
        if download.md5 is None and error.headers.get("Content-Range") != f"bytes */{have}":
            part.unlink()
            return _attempt(url, part, download)
    except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
        raise AddressError(f"{getattr(error, 'reason', error)}{AGAIN}") from None
    if not part.is_file() or not part.stat().st_size:
        part.unlink(missing_ok=True)
        raise AddressError("the server sends nothing")
    try:
        return _compare(part, download)
    except AddressError:
        if not have:
            raise
    return _attempt(url, part, download)


def _compare(path: Path, download: FileToFetch) -> tuple[str, str]:
    """Return MD5 and SHA-256 of a file; one that is not the published one is removed."""
    md5, sha256 = digests(path)
    if download.md5 is not None and md5 != download.md5:
        path.unlink()
        raise AddressError(
            f"md5 {md5} is not the published {download.md5}; it was removed, run the command again"
        )
    return md5, sha256


def _request(url: str, have: int) -> urllib.request.Request:
    """Ask for a file from the byte on that is missing."""
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise InputError(f"{url}: http or https is needed")
    headers = {"User-Agent": AGENT, **({"Range": f"bytes={have}-"} if have else {})}
    return urllib.request.Request(url, headers=headers)  # noqa: S310 - the scheme is checked


def _transfer(request: urllib.request.Request, part: Path, name: str) -> None:
    """Append what the server sends from the byte asked for, or begin anew where it sends all."""
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the scheme is checked
        resumed = answer.status == PARTIAL
        have = part.stat().st_size if resumed else 0
        if resumed and not str(answer.headers.get("Content-Range", "")).startswith(f"bytes {have}-"):
            raise AddressError(f"the server continues at another byte; remove {part}")
        left = answer.headers.get("Content-Length")
        total = have + int(left) if left is not None and left.isdigit() else None
        bar = tqdm(
            total=total, initial=have, unit="B", unit_scale=True, desc=name, file=sys.stderr, disable=None
        )
        with bar, part.open("ab" if resumed else "wb") as file:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    size = part.stat().st_size
    if total is not None and size < total:
        raise AddressError(f"cut off at {size} of {total} bytes{AGAIN}")


def digests(path: Path) -> tuple[str, str]:
    """Hash a file by MD5, which publishers state, and by SHA-256."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            md5.update(chunk)
            sha256.update(chunk)
    return md5.hexdigest(), sha256.hexdigest()
