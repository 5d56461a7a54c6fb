"""`sgbench board export | withdraw | release | verify-release | update`: what leaves a registry, and what comes."""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.cli.common import (
    GIT_S,
    LEADERBOARDS,
    add_source,
    answer,
    asked,
    say,
    say_json,
    shared,
    tree_of,
    warn,
)
from sgbench.errors import InputError, suggest

if TYPE_CHECKING:
    from sgbench.leaderboard.store.reading import Finding
    from sgbench.leaderboard.store.tree import RecordTree
    from sgbench.records.record import RunRecord

FORMS = {
    "csv": "a line for each record",
    "parquet": "the same, for pandas and the like",
    "latex": "a table of each board for a paper, with the rules of booktabs",
    "bibtex": "the sources of all methods",
    "neurobench": "the costs of each row under the names of NeuroBench's metrics, as JSON",
}
NO_TEXT = "--out: parquet is no text; name a file"
SHA256 = "that the archive has to have, as it was published beside it"


def register(actions: Any) -> None:
    """Add these to the subcommands of `board`."""
    export = actions.add_parser(
        "export", help="all records or rows for other tools", parents=shared(machine=False)
    )
    add_source(export, default="leaderboards", several=True, registry=True)
    forms = export.add_mutually_exclusive_group()
    forms.add_argument("--format", choices=("csv", "json", "parquet"), default="csv", help="default: csv")
    for form, about in FORMS.items():
        forms.add_argument(f"--{form}", dest="format", action="store_const", const=form, help=about)
    export.add_argument(
        "--rows", action="store_true", help="as CSV or JSON a line for each row, not each record"
    )
    export.add_argument(
        "--out", type=Path, metavar="FILE", help="default: standard output; parquet needs one"
    )
    export.set_defaults(handler=_export)
    withdraw = actions.add_parser(
        "withdraw", help="say that a method no longer counts; nothing is deleted", parents=shared()
    )
    withdraw.add_argument("method", metavar="ID", help="of the method")
    withdraw.add_argument("--protocol", required=True, metavar="NAME")
    withdraw.add_argument("--reason", required=True, help="one sentence")
    withdraw.add_argument("--superseded-by", metavar="ID", help="the method that replaces it")
    withdraw.add_argument(
        "--root", type=Path, default=LEADERBOARDS, metavar="DIR", help="default: leaderboards"
    )
    withdraw.set_defaults(handler=_withdraw)
    plain = shared(entries=False, classes=False)
    release = actions.add_parser(
        "release",
        help="write all boards and their records as one archive to cite",
        parents=plain,
    )
    release.add_argument("name", metavar="NAME", help="e.g. 2026.12")
    release.add_argument(
        "--root", type=Path, default=LEADERBOARDS, metavar="DIR", help="default: leaderboards"
    )
    release.add_argument(
        "--since", type=Path, metavar="ARCHIVE", help="the release before, for the difference"
    )
    release.add_argument("--to", type=Path, metavar="FILE.zip", help="default: sgbench-boards-NAME.zip")
    release.set_defaults(handler=_release)
    verify = actions.add_parser(
        "verify-release",
        help="compute a release anew from its own records",
        parents=plain,
    )
    verify.add_argument("archive", type=Path, metavar="ARCHIVE")
    verify.add_argument("--sha256", metavar="HEX", help=SHA256)
    verify.set_defaults(handler=_verify)
    update = actions.add_parser(
        "update",
        help="take a newer release for show, explain and across",
        parents=plain,
    )
    update.add_argument(
        "archive", metavar="ARCHIVE|ADDRESS", help="a file, or an https address with --sha256"
    )
    update.add_argument("--sha256", metavar="HEX", help=SHA256)
    update.set_defaults(handler=_update)


def _export(args: argparse.Namespace) -> int:
    from sgbench.leaderboard.pages.export import Listings, encode, to_table, write
    from sgbench.leaderboard.store.reading import Finding
    from sgbench.leaderboard.store.tree import read_methods

    findings: list[Finding] = []
    tree = tree_of(args)
    if args.rows or args.format in ("latex", "bibtex", "neurobench"):
        return _export_rows(args, tree)
    if tree.layout == "registry":
        raise InputError(f"{tree.root} holds rows and no records; add --rows, or start in a checkout")
    chosen = asked(args.protocol, tree.protocols())

    def groups() -> Iterator[list[RunRecord]]:
        for row in read_methods(tree):
            if isinstance(row, Finding):
                findings.append(row)
            elif row.records[0].protocol in chosen:
                yield row.records

    listings = Listings(tree.root, references=tree.references, findings=findings)
    table = to_table(
        groups(),
        listing_of=listings.of if tree.layout == "leaderboards" else None,
    )
    if args.out is not None:
        write(args.out, table, args.format)
        say(f"{args.out}: {len(next(iter(table.values()), []))} records")
    elif args.format == "parquet":
        raise InputError(NO_TEXT)
    else:
        sys.stdout.write(encode(table, args.format).decode())
    return warn(findings)


def _export_rows(args: argparse.Namespace, tree: RecordTree) -> int:
    """Write what is said of rows, which a registry has as well."""
    from sgbench.leaderboard.board import show
    from sgbench.leaderboard.contents import protocols_of
    from sgbench.leaderboard.releases.exports import EXPORTS
    from sgbench.records.files import write_atomic

    chosen = asked(args.protocol, protocols_of(tree))
    if args.format == "parquet" and args.out is None:
        raise InputError(NO_TEXT)
    boards = show(replace(tree, only=chosen[0]) if len(chosen) == 1 else tree)
    wanted = [board for board in boards.boards if board.protocol.name in chosen]
    data = EXPORTS[args.format](wanted, boards.measured)
    if args.out is None:
        sys.stdout.write(data.decode())
    else:
        write_atomic(args.out, data)
        say(f"{args.out}: {len(wanted)} boards")
    return warn(boards.findings)


def _withdraw(args: argparse.Namespace) -> int:
    from pydantic import ValidationError

    from sgbench.leaderboard.store.method_provenance import place
    from sgbench.leaderboard.store.outside import EXTERNAL
    from sgbench.leaderboard.store.stored import StoredRecords
    from sgbench.leaderboard.store.tree import protocols
    from sgbench.records.files import first_problem
    from sgbench.records.trust import Notice

    (name,) = protocols(args.root, only=args.protocol, layout="leaderboards")
    folder = args.root / name
    known = sorted([*StoredRecords(folder).rows(), *(path.name for path in (folder / EXTERNAL).glob("*"))])
    for method in (args.method, *([args.superseded_by] if args.superseded_by else [])):
        if method not in known:
            near = suggest(method, known, f"sgbench board show --protocol {name}")
            raise InputError(f"{name} has no method '{method}'; {near}")
    try:
        notice = Notice(
            schema_version=1,
            protocol=name,
            method_id=args.method,
            kind="withdrawn" if args.superseded_by is None else "superseded",
            superseded_by=args.superseded_by,
            reason=args.reason,
            created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        )
    except ValidationError as error:
        raise InputError(f"--{first_problem(error)}") from error
    path = place(folder, notice)
    line = f"{path}: {notice.kind}; next: sgbench board build --from leaderboards --root {args.root}"
    return answer(args, {"written": str(path), "kind": notice.kind}, line)


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
    tree = {"file": str(path), "sha256": sha256, "bytes": len(data), "files": len(files)}
    return answer(args, tree, f"{path}: {len(files):,} files, {len(data) / 1e6:.1f} MB, SHA-256 {sha256}")


def _committed(root: Path) -> tuple[str, str]:
    """Return the last commit of a folder and when it was made.

    Raises:
        InputError: there is none, or the folder has changes that are not committed.
    """
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
    tree = {"release": registry.release, "boards": sorted(registry.boards), "rows": rows}
    return answer(args, tree, f"{registry}: {len(registry.boards)} boards, {rows} rows")
