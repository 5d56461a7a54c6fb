"""`python -m registry release`: write all boards and their records as one archive to cite."""

import argparse
import hashlib
import io
import stat
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sgbench import __version__
from sgbench.cli.common import LEADERBOARDS, answer, shared_options
from sgbench.errors import InputError
from sgbench.leaderboard.releases.make import ReleaseHeading, release_files
from sgbench.leaderboard.releases.verify import folder_of, unpack_release
from sgbench.records.files import first_problem, write_atomic
from sgbench.records.release import EarlierRelease, ReleaseName
from sgbench.training.provenance import FAILURES, ask

EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The date of all files, the earliest in zip, so that equal files give equal archives."""


def register(commands: Any) -> None:
    release = commands.add_parser(
        "release",
        help="write all boards and their records as one archive to cite",
        parents=shared_options(entries=False, classes=False),
    )
    release.add_argument("name", metavar="NAME", help="e.g. 2026.12")
    release.add_argument("--root", type=Path, default=LEADERBOARDS, metavar="DIR", help="default: leaderboards")
    release.add_argument("--since", type=Path, metavar="ARCHIVE", help="the release before, for the difference")
    release.add_argument("--to", type=Path, metavar="FILE.zip", help="default: sgbench-boards-NAME.zip")
    release.set_defaults(handler=_release)


def _release(args: argparse.Namespace) -> int:
    """Write a release of all boards as one archive, with its difference to an earlier one."""
    try:
        TypeAdapter(ReleaseName).validate_python(args.name)
    except ValidationError as error:
        raise InputError(f"NAME {args.name}: {first_problem(error)}; such as 2026.12 is needed") from error
    since = None
    if args.since is not None:
        before = unpack_release(args.since)
        since = EarlierRelease(name=before.manifest.name, sha256=before.sha256, rows=before.manifest.rows)
    commit, created_utc = _committed(args.root)
    files = release_files(args.root, ReleaseHeading(args.name, commit, created_utc, __version__, since))
    data = pack_release(args.name, files)
    path = args.to or Path(f"{folder_of(args.name)}.zip")
    write_atomic(path, data)
    sha256 = hashlib.sha256(data).hexdigest()
    tree = {"file": str(path), "sha256": sha256, "bytes": len(data), "files": len(files)}
    return answer(args, tree, f"{path}: {len(files):,} files, {len(data) / 1e6:.1f} MB, SHA-256 {sha256}")


def _committed(root: Path) -> tuple[str, str]:
    """Return the last commit of a folder and when it was made."""
    try:
        words = ask(root, "log", "-1", "--format=%H %cI", "--", ".").decode().split()
        changed = ask(root, "status", "--porcelain", "--", ".").strip()
    except FAILURES as error:
        raise InputError(f"{root}: is in no git repository; a release names the commit of its boards") from error
    if changed or not words:
        raise InputError(f"{root}: holds what is not committed; commit it, so that the release can name it")
    when = datetime.fromisoformat(words[1]).astimezone(UTC)
    return words[0], when.isoformat(timespec="seconds")


def pack_release(name: str, files: Mapping[str, bytes]) -> bytes:
    """Pack the files of a release into a zip archive, the same bytes each time."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(files):
            info = zipfile.ZipInfo(f"{folder_of(name)}/{path}", EARLIEST)
            info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, files[path], compresslevel=9)
    return out.getvalue()
