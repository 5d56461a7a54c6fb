"""Downloads of a data set's files: resumed after an interruption, and verified by their published checksums."""

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

CHUNK_BYTES = 1 << 20
TIMEOUT_S = 60
CHECKSUMS = "checksums.json"
PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE = 206, 416  # HTTP status codes
AGENT = "sgbench (data download)"
AGAIN = "; the same command continues"
ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar")
MOST_ARCHIVES = 100  # of an archive and those inside it


class Fetched(Protocol):
    """Describes a data set that can be downloaded: its files and where they are stored."""

    @property
    def name(self) -> str:
        """Return the name of the data set's catalogue entry."""
        ...

    @property
    def folder(self) -> str:
        """Return the data set's folder, relative to the root of all data files."""
        ...

    @property
    def downloads(self) -> Sequence[FileToFetch]:
        """List the files to download; empty if they can only be fetched by hand."""
        ...

    @property
    def by_hand(self) -> str:
        """Explain how to get the files by hand."""
        ...


def fetch(data_set: Fetched, data_dir: Path) -> list[str]:
    """Fetch and unpack those files of a data set that are missing; return a line of report for each file.

    Files go to the data set's folder below `data_dir`; `checksums.json` there notes what was fetched and unpacked.
    """
    root = data_dir / data_set.folder
    if not data_set.downloads:
        raise InputError(f"data set {data_set.name} is fetched by hand: {data_set.by_hand}")
    lines: list[str] = []
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".download.lock", timeout=0):
            if all(download.name in known(root) for download in data_set.downloads):
                # All were fetched before, so the user has removed files since: fetch again.
                (root / CHECKSUMS).unlink()
            lines += [_fetch_one(data_set, download, root) for download in data_set.downloads]
    except Timeout:
        raise InputError(f"{root}: another process is fetching this data set; wait for it") from None
    except InputError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"{root} cannot be written: {reason}; free space, or name another --data-dir") from error
    return lines


def _fetch_one(data_set: Fetched, download: FileToFetch, root: Path) -> str:
    """Fetch, verify and unpack one file unless it is noted as fetched; return a line of report.

    A file that the user has put into `root` is verified and unpacked in place of a download.
    """
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
        path.unlink()  # the unpacked files stay
    return f"{download.name}: {size / 1e6:.1f} MB, md5 right, sha256 {sha256[:12]}; {len(files)} files unpacked"


def known(root: Path) -> dict[str, Any]:
    """Map each file fetched into this folder to its `url`, `bytes`, `md5` and `sha256`; empty without a note."""
    try:
        checksums = json.loads((root / CHECKSUMS).read_text())
    except (OSError, ValueError):
        return {}
    return checksums if isinstance(checksums, dict) else {}


def _unpack_all(path: Path, root: Path, most_bytes: int) -> list[str]:
    """Unpack an archive and all archives in it into `root`; return the names of the unpacked files.

    `most_bytes` limits the unpacked size of each archive. A path that is no archive is left alone.
    """
    if not path.name.endswith(ARCHIVES):
        return []
    names, archives = list[str](), [path]
    for number in range(MOST_ARCHIVES):
        if number >= len(archives):
            break
        for name in unpack(archives[number], root, most_bytes=most_bytes):
            if name.endswith(ARCHIVES):
                archives.append(root / name)
            else:
                names.append(name)
    for archive in archives[1:]:
        archive.unlink(missing_ok=True)
    return names


class AddressError(InputError):
    """Reports why one address did not give the file; another address may."""


def _placed_by_hand(data_set: Fetched, download: FileToFetch, path: Path) -> tuple[str, tuple[str, str]]:
    """Return the published address and the (MD5, SHA-256) of a file that the user has put at `path`."""
    try:
        return download.url, _compare(path, download)
    except AddressError as error:
        raise InputError(f"{path}: {error}; {data_set.by_hand}") from None


def _fetch(data_set: Fetched, download: FileToFetch, path: Path) -> tuple[str, tuple[str, str]]:
    """Fetch a file from the first address that gives it whole; return the address and the (MD5, SHA-256).

    The file NAME.part grows from where an earlier attempt ended, and is renamed once its checksum is right.
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
    """Fetch the missing end of the file `part` from the address `url`; return its MD5 and SHA-256.

    If a resumed file has a wrong checksum, its beginning may be of another file: it is downloaded once more whole.
    """
    have = part.stat().st_size if part.is_file() else 0
    try:
        _transfer(_request(url, have), part, download.name)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != RANGE_NOT_SATISFIABLE or not have:
            raise AddressError(f"the server answers {error.code} {error.reason}") from None
        # The server has no further bytes: the part is whole, or of another file.
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
    """Return MD5 and SHA-256 of a download; one with another MD5 than the published is removed."""
    md5, sha256 = digests(path)
    if download.md5 is not None and md5 != download.md5:
        path.unlink()
        raise AddressError(f"md5 {md5} is not the published {download.md5}; it was removed, run the command again")
    return md5, sha256


def _request(url: str, have: int) -> urllib.request.Request:
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise InputError(f"{url}: http or https is needed")
    headers = {"User-Agent": AGENT, **({"Range": f"bytes={have}-"} if have else {})}
    return urllib.request.Request(url, headers=headers)  # noqa: S310 - the scheme is checked


def _transfer(request: urllib.request.Request, part: Path, name: str) -> None:
    """Append a request's answer to the file `part`, or overwrite it if the server sends the file from its start.

    A progress bar shows `name`. An answer that ends too early raises AddressError.
    """
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the scheme is checked
        resumed = answer.status == PARTIAL_CONTENT
        have = part.stat().st_size if resumed else 0
        if resumed and not str(answer.headers.get("Content-Range", "")).startswith(f"bytes {have}-"):
            raise AddressError(f"the server continues at another byte; remove {part}")
        remaining = answer.headers.get("Content-Length")
        total = have + int(remaining) if remaining is not None and remaining.isdigit() else None
        bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=name, file=sys.stderr, disable=None)
        with bar, part.open("ab" if resumed else "wb") as file:
            while chunk := answer.read(CHUNK_BYTES):
                file.write(chunk)
                bar.update(len(chunk))
    size = part.stat().st_size
    if total is not None and size < total:
        raise AddressError(f"cut off at {size} of {total} bytes{AGAIN}")


def digests(path: Path) -> tuple[str, str]:
    """Return the MD5, which publishers state, and the SHA-256 of a file, as hex digits."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            md5.update(chunk)
            sha256.update(chunk)
    return md5.hexdigest(), sha256.hexdigest()
