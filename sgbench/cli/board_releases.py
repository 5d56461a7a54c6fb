"""`sgbench board release | verify-release | update`: all boards as one archive to cite, checked and taken."""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sgbench.cli.board_options import GIT_S, LEADERBOARDS, finish, say, say_json
from sgbench.errors import InputError

SHA256 = "that the archive has to have, as it was published beside it"


def register(actions: Any) -> None:
    """Add `release`, `verify-release` and `update` to the subcommands of `board`."""
    release = actions.add_parser("release", help="write all boards and their records as one archive to cite")
    release.add_argument("name", metavar="NAME", help="e.g. 2026.12")
    release.add_argument(
        "--root", type=Path, default=LEADERBOARDS, metavar="DIR", help="default: leaderboards"
    )
    release.add_argument(
        "--since", type=Path, metavar="ARCHIVE", help="the release before, for the difference"
    )
    release.add_argument("--to", type=Path, metavar="FILE.zip", help="default: sgbench-boards-NAME.zip")
    finish(release, _release)
    verify = actions.add_parser("verify-release", help="compute a release anew from its own records")
    verify.add_argument("archive", type=Path, metavar="ARCHIVE")
    verify.add_argument("--sha256", metavar="HEX", help=SHA256)
    finish(verify, _verify)
    update = actions.add_parser("update", help="take a newer release for show, explain and across")
    update.add_argument(
        "archive", metavar="ARCHIVE|ADDRESS", help="a file, or an https address with --sha256"
    )
    update.add_argument("--sha256", metavar="HEX", help=SHA256)
    finish(update, _update)


def _release(args: argparse.Namespace) -> int:
    from pydantic import TypeAdapter, ValidationError

    from sgbench import __version__
    from sgbench.leaderboard.releases.archive import folder_of, pack_release, unpack_release
    from sgbench.leaderboard.releases.make import ReleaseHeading, release_files
    from sgbench.records.files import first_problem, write_atomic
    from sgbench.records.release import EarlierRelease, ReleaseName

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
    if args.json:
        say_json({"file": str(path), "sha256": sha256, "bytes": len(data), "files": len(files)})
    else:
        say(f"{path}: {len(files):,} files, {len(data) / 1e6:.1f} MB, SHA-256 {sha256}")
    return 0


def _committed(root: Path) -> tuple[str, str]:
    """Return the last commit of a folder and when it was made.

    Raises:
        InputError: there is none, or the folder has changes that are not committed.
    """
    from datetime import UTC, datetime

    from sgbench.training.git import FAILURES, ask

    try:
        words = ask(root, "log", "-1", "--format=%H %cI", "--", ".", timeout_s=GIT_S).decode().split()
        changed = ask(root, "status", "--porcelain", "--", ".", timeout_s=GIT_S).strip()
    except FAILURES as error:
        raise InputError(
            f"{root}: is in no git repository; a release names the commit of its boards"
        ) from error
    if changed or not words:
        raise InputError(f"{root}: holds what is not committed; commit it, so that the release can name it")
    when = datetime.fromisoformat(words[1]).astimezone(UTC)
    return words[0], when.isoformat(timespec="seconds")


def _verify(args: argparse.Namespace) -> int:
    from sgbench import __version__
    from sgbench.leaderboard.releases.archive import unpack_release
    from sgbench.leaderboard.releases.verify import verify_release
    from sgbench.tables import counted

    release = unpack_release(args.archive, sha256=args.sha256)
    findings = verify_release(release)
    manifest = release.manifest
    if args.json:
        tree = {"release": manifest.name, "sha256": release.sha256, "commit": manifest.commit}
        say_json(tree | {"findings": [asdict(found) for found in findings]})
        return 1 if findings else 0
    for found in findings:
        say(f"finding: {found.path}: {found.reason}")
    if findings and manifest.sgbench != __version__:
        say(f"made by sgbench {manifest.sgbench}; this is {__version__}, which may write tables otherwise")
    kinds = Counter(change.kind for change in manifest.changes)
    told = ", ".join(f"{kinds[kind]} {kind}" for kind in ("new", "withdrawn", "moved"))
    since = f"; since {manifest.since.name}: {told}" if manifest.since else ""
    say(f"release {manifest.name}, commit {manifest.commit[:12]}, SHA-256 {release.sha256}{since}")
    files, rows = counted(len(release.files), "file"), counted(len(manifest.rows), "row")
    say(f"{files}, {rows}, {counted(len(findings), 'finding')}")
    return 1 if findings else 0


def _update(args: argparse.Namespace) -> int:
    from sgbench.leaderboard.releases.verify import fetch_release, update

    if "://" not in args.archive:
        registry = update(Path(args.archive), sha256=args.sha256)
    elif args.sha256 is None:
        raise InputError(f"{args.archive}: --sha256 is needed with an address, as it was published beside it")
    else:
        with tempfile.TemporaryDirectory(prefix="sgbench_update_") as passing:
            path = Path(passing) / "release.zip"
            fetch_release(args.archive, path)
            registry = update(path, sha256=args.sha256)
    rows = sum(len(content.measured) for content in registry.boards.values())
    if args.json:
        say_json({"release": registry.release, "boards": sorted(registry.boards), "rows": rows})
    else:
        say(f"{registry}: {len(registry.boards)} boards, {rows} rows, for show, explain and across")
    return 0
