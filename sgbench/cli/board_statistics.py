"""`sgbench board explain | export | withdraw`: two methods in sentences, all records, and what no longer counts."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.cli.common import LEADERBOARDS, add_source, answer, asked, say, shared, tree_of, warn
from sgbench.errors import InputError, printable, suggest

if TYPE_CHECKING:
    from sgbench.leaderboard.store.reading import Finding
    from sgbench.records.record import RunRecord

WIDTH = 100


def register(actions: Any) -> None:
    """Add `explain`, `export` and `withdraw` to the subcommands of `board`."""
    explain = actions.add_parser(
        "explain", help="two methods in plain sentences: which is better, and how sure", parents=shared()
    )
    explain.add_argument("a", metavar="A", help="a method: its id, its beginning, or its surrogate's name")
    explain.add_argument("b", metavar="B", help="another")
    add_source(explain, default="leaderboards", registry=True)
    explain.set_defaults(handler=_explain)
    export = actions.add_parser("export", help="all records as one flat table", parents=shared(machine=False))
    add_source(export, default="leaderboards", several=True)
    export.add_argument("--format", choices=("csv", "json", "parquet"), default="csv", help="default: csv")
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


def _explain(args: argparse.Namespace) -> int:
    from sgbench.leaderboard.explaining import explain_two

    explained = explain_two(args.a, args.b, tree=tree_of(args, only=args.protocol))
    text = "\n".join(textwrap.fill(printable(sentence), WIDTH) for sentence in explained.sentences)
    return answer(args, asdict(explained), text)


def _export(args: argparse.Namespace) -> int:
    from sgbench.leaderboard.pages.export import Standings, encode, to_table, write
    from sgbench.leaderboard.store.reading import Finding
    from sgbench.leaderboard.store.tree import read_methods

    findings: list[Finding] = []
    tree = tree_of(args)
    chosen = asked(args.protocol, tree.protocols())

    def groups() -> Iterator[list[RunRecord]]:
        for row in read_methods(tree):
            if isinstance(row, Finding):
                findings.append(row)
            elif row.records[0].protocol in chosen:
                yield row.records

    standings = Standings(tree.root, references=tree.references, findings=findings)
    table = to_table(
        groups(),
        standing_of=standings.of if tree.layout == "leaderboards" else None,
    )
    if args.out is not None:
        write(args.out, table, args.format)
        say(f"{args.out}: {len(next(iter(table.values()), []))} records")
    elif args.format == "parquet":
        raise InputError("--out: parquet is no text; name a file")
    else:
        sys.stdout.write(encode(table, args.format).decode())
    return warn(findings)


def _withdraw(args: argparse.Namespace) -> int:
    from pydantic import ValidationError

    from sgbench.leaderboard.store.dossier import place
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
