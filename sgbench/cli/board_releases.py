"""`sgbench board export | verify-release | update`: records for other tools, and releases of all boards."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.cli.common import (
    add_source,
    answer,
    chosen_protocols,
    print_json,
    print_lines,
    record_tree,
    shared_options,
    warn_of_findings,
)
from sgbench.errors import InputError

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
PARQUET_NEEDS_FILE = "--to: parquet is no text; name a file"
SHA256_HELP = "that the archive has to have, as it was published beside it"


def register(actions: Any) -> None:
    export = actions.add_parser(
        "export", help="all records or rows for other tools", parents=shared_options(machine=False)
    )
    add_source(export, default="leaderboards", several=True, registry=True)
    forms = export.add_mutually_exclusive_group()
    forms.add_argument("--format", choices=("csv", "json", "parquet"), default="csv", help="default: csv")
    for form, about in FORMS.items():
        forms.add_argument(f"--{form}", dest="format", action="store_const", const=form, help=about)
    export.add_argument("--rows", action="store_true", help="as CSV or JSON a line for each row, not each record")
    export.add_argument("--to", type=Path, metavar="FILE", help="default: standard output; parquet needs one")
    export.add_argument("--out", dest="to", type=Path, help=argparse.SUPPRESS)
    export.set_defaults(handler=_export)
    plain = shared_options(entries=False, classes=False)
    verify = actions.add_parser("verify-release", help="compute a release anew from its own records", parents=plain)
    verify.add_argument("archive", type=Path, metavar="ARCHIVE")
    verify.add_argument("--sha256", metavar="HEX", help=SHA256_HELP)
    verify.set_defaults(handler=_verify)
    update = actions.add_parser("update", help="take a newer release for show, explain and across", parents=plain)
    update.add_argument("archive", metavar="ARCHIVE|ADDRESS", help="a file, or an https address with --sha256")
    update.add_argument("--sha256", metavar="HEX", help=SHA256_HELP)
    update.set_defaults(handler=_update)


def _export(args: argparse.Namespace) -> int:
    """Write records, or with --rows rows of boards, to a file or standard output; return 1 if any is left out."""
    from sgbench.leaderboard.pages.export import Listings, encode, to_table, write
    from sgbench.leaderboard.store.reading import Finding
    from sgbench.leaderboard.store.tree import read_methods

    findings: list[Finding] = []
    tree = record_tree(args)
    if args.rows or args.format in ("latex", "bibtex", "neurobench"):
        return _export_rows(args, tree)
    if tree.layout == "registry":
        raise InputError(f"{tree.root} holds rows and no records; add --rows, or start in a checkout")
    chosen = chosen_protocols(args.protocol, tree.protocols())

    def groups() -> Iterator[list[RunRecord]]:
        for row in read_methods(tree):
            if isinstance(row, Finding):
                findings.append(row)
            elif row.records[0].protocol in chosen:
                yield row.records

    listings = Listings(tree.root, references=tree.references, findings=findings)
    table = to_table(groups(), listing_of=listings.of if tree.layout == "leaderboards" else None)
    if args.to is not None:
        write(args.to, table, args.format)
        print_lines(f"{args.to}: {len(next(iter(table.values()), []))} records")
    elif args.format == "parquet":
        raise InputError(PARQUET_NEEDS_FILE)
    else:
        sys.stdout.write(encode(table, args.format).decode())
    return warn_of_findings(findings)


def _export_rows(args: argparse.Namespace, tree: RecordTree) -> int:
    """Write the rows of the boards that `args` choose; see `_export`. A registry has rows but no records."""
    from sgbench.leaderboard.board import show
    from sgbench.leaderboard.contents import protocols_of
    from sgbench.leaderboard.releases.make import EXPORTS
    from sgbench.records.files import write_atomic

    chosen = chosen_protocols(args.protocol, protocols_of(tree))
    if args.format == "parquet" and args.to is None:
        raise InputError(PARQUET_NEEDS_FILE)
    boards = show(replace(tree, only=chosen[0]) if len(chosen) == 1 else tree)
    wanted = [board for board in boards.boards if board.protocol.name in chosen]
    data = EXPORTS[args.format](wanted, boards.measured)
    if args.to is None:
        sys.stdout.write(data.decode())
    else:
        write_atomic(args.to, data)
        print_lines(f"{args.to}: {len(wanted)} boards")
    return warn_of_findings(boards.findings)


def _verify(args: argparse.Namespace) -> int:
    """Compute a release anew from its own records and print what differs; return 1 if anything does."""
    from sgbench import __version__
    from sgbench.leaderboard.releases.verify import unpack_release, verify_release
    from sgbench.tables import counted

    release = unpack_release(args.archive, sha256=args.sha256)
    findings = verify_release(release)
    manifest = release.manifest
    if args.json:
        tree = {"release": manifest.name, "sha256": release.sha256, "commit": manifest.commit}
        print_json(tree | {"findings": [asdict(found) for found in findings]})
        return 1 if findings else 0
    for found in findings:
        print_lines(f"problem: {found}")
    if findings and manifest.sgbench != __version__:
        print_lines(f"made by sgbench {manifest.sgbench}; this is {__version__}, which may write tables otherwise")
    kinds = Counter(change.kind for change in manifest.changes)
    changes = ", ".join(f"{kinds[kind]} {kind}" for kind in ("new", "withdrawn", "moved"))
    since = f"; since {manifest.since.name}: {changes}" if manifest.since else ""
    print_lines(f"release {manifest.name}, commit {manifest.commit[:12]}, SHA-256 {release.sha256}{since}")
    files, rows = counted(len(release.files), "file"), counted(len(manifest.rows), "row")
    print_lines(f"{files}, {rows}, {counted(len(findings), 'problem')}")
    return 1 if findings else 0


def _update(args: argparse.Namespace) -> int:
    """Store a newer release of all boards, from a file or from an https address with --sha256, to be shown."""
    from sgbench.leaderboard.releases.verify import fetch_release, update

    if "://" not in args.archive:
        registry = update(Path(args.archive), sha256=args.sha256)
    elif args.sha256 is None:
        raise InputError(f"{args.archive}: --sha256 is needed with an address, as it was published beside it")
    else:
        with tempfile.TemporaryDirectory(prefix="sgbench_update_") as folder:
            path = Path(folder) / "release.zip"
            fetch_release(args.archive, path)
            registry = update(path, sha256=args.sha256)
    rows = sum(len(content.measured) for content in registry.boards.values())
    tree = {"release": registry.release, "boards": sorted(registry.boards), "rows": rows}
    return answer(args, tree, f"{registry}: {len(registry.boards)} boards, {rows} rows")
