"""`python -m registry`: in a clone, accept what was handed in, audit and withdraw rows, make releases and the site."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from registry import audit_command, release_command, site_command
from registry.accept import accept, accept_data
from registry.audit import BoardAudit
from sgbench.cli.common import LEADERBOARDS, CommandParser, answer, print_lines, references_of, shared_options
from sgbench.cli.data import make_data_set
from sgbench.cli.main import run_command_line
from sgbench.composition import catalogue
from sgbench.errors import InputError, suggest
from sgbench.leaderboard.store.method_provenance import SUBMISSIONS as SUBMITTED
from sgbench.leaderboard.store.method_provenance import place, place_of
from sgbench.leaderboard.store.outside import EXTERNAL
from sgbench.leaderboard.store.stored import StoredRecords
from sgbench.leaderboard.store.tree import protocols
from sgbench.records.audit import Repetition
from sgbench.records.files import first_problem, parse_model, read_bytes
from sgbench.records.submission import MOST_BYTES, DataConfirmation, Notice
from sgbench.submissions.stored_runs import restore
from sgbench.submissions.verify.verdict import DataJudge

SUBMISSIONS = Path("submissions")


def main(argv: Sequence[str] | None = None) -> int:
    return run_command_line(_dispatch, argv)


def _dispatch(words: list[str]) -> int:
    args = parser().parse_args(words)
    return args.handler(args)


def parser() -> argparse.ArgumentParser:
    top = CommandParser(prog="python -m registry", description=__doc__)
    commands: Any = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_accept(commands)
    audit_command.register(commands)
    _add_withdraw(commands)
    release_command.register(commands)
    site_command.register(commands)
    return top


def _add_accept(commands: Any) -> None:
    """Add the commands that take in submissions, data confirmations and repeats, or restore a submission."""
    accepted = commands.add_parser("accept", help="copy a checked submission into the boards", parents=shared_options())
    accepted.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="a submission")
    accepted.add_argument(
        "--weights-at", metavar="URL", help="keep where weights lie (URL/weights/SEED.safetensors), not their bytes"
    )
    accepted.set_defaults(handler=_accept)
    restored = commands.add_parser(
        "restore", help="put a submission together again from a board's store", parents=shared_options()
    )
    restored.add_argument("method", metavar="ID", help="of the method")
    restored.add_argument("--protocol", required=True, metavar="NAME")
    restored.add_argument("--to", type=Path, default=SUBMISSIONS, metavar="DIR", help="default: submissions")
    restored.set_defaults(handler=_restore)
    for parser in (accepted, restored):
        parser.add_argument(
            "--board", type=Path, default=LEADERBOARDS, metavar="DIR", help="the boards; default: leaderboards"
        )
    confirmed = commands.add_parser(
        "accept-data",
        help="take what sgbench data confirm wrote into the data set's entry",
        parents=shared_options(machine=False),
    )
    confirmed.add_argument("file", type=Path, metavar="FILE", help="what sgbench data confirm wrote")
    confirmed.set_defaults(handler=_accept_data)
    repeated = commands.add_parser(
        "accept-repeat", help="take what sgbench audit --one wrote into the board's audit", parents=shared_options()
    )
    repeated.add_argument("file", type=Path, metavar="FILE", help="what sgbench audit --one wrote")
    repeated.add_argument("--root", type=Path, default=LEADERBOARDS, metavar="DIR", help="default: leaderboards")
    repeated.set_defaults(handler=_accept_repeat)


def _accept_repeat(args: argparse.Namespace) -> int:
    """Add a run repeated elsewhere to the audit of its board."""
    given = parse_model(read_bytes(args.file, limit=MOST_BYTES), Repetition, str(args.file))
    (name,) = protocols(args.root, only=given.protocol, layout="leaderboards")
    audit = BoardAudit(args.root / name, references=references_of(args), runs_dir=args.root)
    path = audit.take(given)
    line = f"{path}: repeated elsewhere by {given.session.verifier}; next: sgbench board build --from leaderboards"
    return answer(args, {"written": str(path)}, f"{line} --root {args.root}")


def _add_withdraw(commands: Any) -> None:
    withdraw = commands.add_parser(
        "withdraw", help="say that a method no longer counts; nothing is deleted", parents=shared_options()
    )
    withdraw.add_argument("method", metavar="ID", help="of the method")
    withdraw.add_argument("--protocol", required=True, metavar="NAME")
    withdraw.add_argument("--reason", required=True, help="one sentence")
    withdraw.add_argument("--superseded-by", metavar="ID", help="the method that replaces it")
    withdraw.add_argument("--root", type=Path, default=LEADERBOARDS, metavar="DIR", help="default: leaderboards")
    withdraw.set_defaults(handler=_withdraw)


def _accept(args: argparse.Namespace) -> int:
    """Check submissions and copy those that pass into the boards; the first that fails stops it."""
    references = references_of(args)
    judge, done = DataJudge(references), []
    for folder in args.folders:
        known = set(args.board.glob(f"*/{SUBMITTED}/*.json"))
        verdict = accept(folder, args.board, references=references, judge=judge, weights_at=args.weights_at)
        if verdict.submission is not None:
            new = place_of(args.board / verdict.submission.protocol, verdict.submission) not in known
            said = {"protocol": verdict.submission.protocol, "method_id": verdict.submission.method_id}
            done.append({**said, "new": new})
    lines = [
        f"{one['protocol']} {one['method_id']}: {'accepted' if one['new'] else 'was there already'}" for one in done
    ]
    lines.append(f"next: sgbench board build --from leaderboards --root {args.board}")
    return answer(args, {"accepted": done}, lines)


def _accept_data(args: argparse.Namespace) -> int:
    given = parse_model(read_bytes(args.file, limit=MOST_BYTES), DataConfirmation, str(args.file))
    entry = catalogue.entry("dataset", given.dataset, args.config_dir)
    accept_data(given, entry, make_data_set(entry, args))
    print_lines(f"{entry.path}: sha256 {given.sha256[:12]} of {given.contact}; look at the difference and commit it")
    return 0


def _restore(args: argparse.Namespace) -> int:
    (name,) = protocols(args.board, only=args.protocol, layout="leaderboards")
    folder = restore(args.board / name, args.method, args.to)
    line = f"{folder}: as it was handed in; next: sgbench verify {folder} --tier reinferred"
    return answer(args, {"folder": str(folder)}, line)


def _withdraw(args: argparse.Namespace) -> int:
    """Store a notice that a method no longer counts, with the one that replaces it if there is one."""
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


if __name__ == "__main__":
    sys.exit(main())
