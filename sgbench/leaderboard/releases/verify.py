"""Unpacks a stranger's release strictly, verifies it by its own records, and installs it."""

import hashlib
import http.client
import io
import stat
import tempfile
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sgbench.errors import InputError, printable
from sgbench.leaderboard.board import check
from sgbench.leaderboard.contents import ShippedBoards, installed, make_shipped, pack, read_shipped, updated_path
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.releases.make import BOARDS, MANIFEST, ReleaseHeading, release_files
from sgbench.leaderboard.store.reading import Finding
from sgbench.records.files import parse_model, read_bytes, write_atomic, write_folder
from sgbench.records.release import MAX_FILE_BYTES, MAX_FILES, Release

MAX_ARCHIVE_BYTES = 256 * 1024**2
MAX_PLAIN_BYTES = 512 * 1024**2
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1
REMEDY = "take it from where it was published"


@dataclass(frozen=True)
class UnpackedRelease:
    """Holds a release whose files all have the hashes in its manifest."""

    manifest: Release
    stated: bytes
    """The bytes of the manifest in the archive."""
    files: dict[str, bytes]
    """Maps the paths of all other files to their contents."""
    sha256: str
    """SHA-256 of the archive."""


def folder_of(name: str) -> str:
    return f"sgbench-boards-{name}"


def unpack_release(path: Path, *, sha256: str | None = None) -> UnpackedRelease:
    """Read the archive of a release, and check each file against the hash in the manifest.

    Nothing is written. Links, paths outside the folder, files that the manifest does not name, and archives that
    unpack to more than the limit are refused.
    """
    data = read_bytes(path, limit=MAX_ARCHIVE_BYTES)
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and sha256.lower() != found:
        raise InputError(f"{path}: its SHA-256 is {found} and not {sha256}; {REMEDY}")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = dict(_files(archive))
    except InputError as error:
        raise InputError(f"{path}: {error}; {REMEDY}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise InputError(f"{path}: not a readable zip file: {printable(str(error))}; {REMEDY}") from error
    stated = files.pop(MANIFEST, b"")
    manifest = parse_model(stated, Release, f"{path}: {MANIFEST}")
    _require_whole(path, manifest, files)
    return UnpackedRelease(manifest, stated, files, found)


def _files(archive: zipfile.ZipFile) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of each file in an archive; raise an `InputError` for whatever no release contains."""
    members = archive.infolist()
    if len(members) > MAX_FILES:
        raise InputError(f"holds {len(members):,} files, more than {MAX_FILES:,}")
    if sum(member.file_size for member in members) > MAX_PLAIN_BYTES:
        raise InputError(f"unpacks to more than {MAX_PLAIN_BYTES // 1024**2} MiB")
    seen: set[str] = set()
    for member in members:
        folder, _, name = member.filename.partition("/")
        shown = printable(repr(member.filename[:100]))
        mode = member.external_attr >> 16
        if mode and not stat.S_ISREG(mode):
            raise InputError(f"{shown} is a link, a folder or a device")
        if not folder.startswith(folder_of("")) or not name or name.casefold() in seen:
            raise InputError(f"{shown} stands twice, or outside the folder of a release")
        if member.flag_bits & ENCRYPTED or member.compress_type not in METHODS:
            raise InputError(f"{shown} is encrypted, or packed by another method than deflate")
        if member.file_size > MAX_FILE_BYTES:
            raise InputError(f"{shown} unpacks to more than {MAX_FILE_BYTES // 1024**2} MiB")
        seen.add(name.casefold())
        with archive.open(member) as file:
            data = file.read(member.file_size + 1)
        if len(data) != member.file_size:
            raise InputError(f"{shown} has another size than it states")
        yield name, data


def _require_whole(path: Path, manifest: Release, files: Mapping[str, bytes]) -> None:
    """Raise an `InputError` unless the archive's files are those of the manifest, with its hashes."""
    named = {file.path: file for file in manifest.files}
    for name in sorted({*named, *files}):
        if name not in files:
            raise InputError(f"{path}: {name} is not in it; {REMEDY}")
        if name not in named:
            raise InputError(f"{path}: its manifest does not name {printable(repr(name))}; {REMEDY}")
        if hashlib.sha256(files[name]).hexdigest() != named[name].sha256:
            raise InputError(f"{path}: {name} is not what the manifest names; {REMEDY}")


TIMEOUT_S = 60
AGENT = "sgbench (board update)"


@contextmanager
def release_folder(release: UnpackedRelease) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sgbench_release_") as temporary:
        write_folder(Path(temporary) / "release", release.files)
        yield Path(temporary) / "release" / BOARDS


def verify_release(release: UnpackedRelease) -> list[Finding]:
    """Compute a release anew from its own records, and return the files that differ."""
    manifest = release.manifest
    heading = ReleaseHeading(manifest.name, manifest.commit, manifest.created_utc, manifest.sgbench, manifest.since)
    with release_folder(release) as root:
        if not root.is_dir():
            return [Finding(BOARDS, "is not in the release")]
        _, findings = check(root, references=References())
        prefix = f"{root.parent}/"
        if findings:
            return [
                replace(found, path=found.path.removeprefix(prefix), reason=found.reason.partition("; ")[0])
                for found in findings
            ]
        rebuilt = release_files(root, heading)
    stored = release.files | {MANIFEST: release.stated}
    return [
        Finding(name, "is not what the records give")
        for name in sorted({*rebuilt, *stored})
        if rebuilt.get(name) != stored.get(name)
    ]


def update(path: Path, *, sha256: str | None = None) -> ShippedBoards:
    """Store a release in place of the boards shipped with the package, which commands use if no folder is named."""
    release = unpack_release(path, sha256=sha256)
    manifest = release.manifest
    in_use, layout = installed()
    if layout == "registry" and read_shipped(in_use).created_utc >= manifest.created_utc:
        raise InputError(f"{path}: is not newer than {read_shipped(in_use)}, which stays")
    with release_folder(release) as root:
        registry = make_shipped(root, commit=manifest.commit, created_utc=manifest.created_utc, release=manifest.name)
    write_atomic(updated_path(), pack(registry))
    return registry


def fetch_release(address: str, path: Path) -> None:
    """Fetch an archive from an https address; its reader checks the content."""
    request = urllib.request.Request(_https(address), headers={"User-Agent": AGENT})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - https alone
            _https(answer.geturl())
            data = answer.read(MAX_ARCHIVE_BYTES + 1)
    except (http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        raise InputError(f"{address}: {reason}; fetch it by hand and name the file") from error
    if len(data) > MAX_ARCHIVE_BYTES:
        raise InputError(f"{address}: sends more than {MAX_ARCHIVE_BYTES // 1024**2} MiB")
    write_atomic(path, data)


def _https(address: str) -> str:
    """Return an address; raise an `InputError` unless it is one of https in printable ASCII."""
    try:
        parts = urllib.parse.urlsplit(address)
        is_usable = parts.scheme == "https" and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # of a bracket without its other half, or of a port that is no number
        is_usable = False
    if not (is_usable and address.isascii() and address.isprintable() and " " not in address):
        raise InputError(
            f"{printable(address)}: an address that begins with https:// is needed, without blanks and signs "
            "that an address has to encode"
        )
    return address
