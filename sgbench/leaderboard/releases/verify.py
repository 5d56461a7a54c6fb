"""Verify a release by its own records, and install it in place of the boards shipped with the package."""

import http.client
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sgbench.errors import InputError, printable
from sgbench.leaderboard.board import check
from sgbench.leaderboard.contents import make_shipped
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.releases.archive import MANIFEST, MAX_ARCHIVE_BYTES, UnpackedRelease, unpack_release
from sgbench.leaderboard.releases.make import BOARDS, ReleaseHeading, release_files
from sgbench.leaderboard.shipped import ShippedBoards, installed, pack, read_shipped, updated_path
from sgbench.leaderboard.store.reading import Finding
from sgbench.records.files import write_atomic, write_folder

TIMEOUT_S = 60
AGENT = "sgbench (board update)"


@contextmanager
def release_folder(release: UnpackedRelease) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sgbench_release_") as temporary:
        write_folder(Path(temporary) / "release", release.files)
        yield Path(temporary) / "release" / BOARDS


def verify_release(release: UnpackedRelease) -> list[Finding]:
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
