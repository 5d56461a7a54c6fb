"""`sgbench audit --one`: anybody's machine repeats one drawn row of the boards, and writes the line to hand in."""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sgbench.cli.common import add_source, answer, chosen_protocols, record_tree, references_of, shared_options
from sgbench.errors import InputError


def register(commands: Any) -> None:
    parser = commands.add_parser(
        "audit", help="repeat one drawn row of the boards here, and hand in the line", parents=shared_options()
    )
    parser.add_argument("--one", action="store_true", required=True, help="one row, which your name and the day draw")
    parser.add_argument("--by", metavar="NAME", required=True, help="your name, which is shown with the row")
    parser.add_argument("--minutes", type=float, default=10.0, metavar="M", help="longest training; default: 10")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="of the new run; default: audit in the runs folder")
    parser.add_argument("--to", type=Path, metavar="FILE", help="default: repeated-PROTOCOL-ID-SEED.json")
    add_source(parser, default="leaderboards", several=True, registry=True)
    parser.set_defaults(handler=_audit)


def _audit(args: argparse.Namespace) -> int:
    """Draw a row by name and day, train it again, and write the outcome to hand in."""
    from sgbench.leaderboard.contents import contents_of
    from sgbench.paths import default_runs_dir
    from sgbench.records.files import to_json, write_atomic
    from sgbench.submissions.verify.one import draw_one, repeat

    if args.layout == "runs":
        raise InputError("--from runs: rows of boards are repeated; name leaderboards or registry")
    references = references_of(args)
    ranked = contents_of(record_tree(args)).ranked()
    ranked = {name: ranked[name] for name in chosen_protocols(args.protocol, list(ranked))}
    day = datetime.now(UTC).date().isoformat()
    one = draw_one(ranked, by=args.by, day=day, minutes=args.minutes, references=references)
    given = repeat(one, by=args.by, runs_dir=args.runs or default_runs_dir() / "audit", references=references)
    (done,) = given.session.retrainings
    path = args.to or Path(f"repeated-{given.protocol}-{done.method_id}-{done.seed}.json")
    write_atomic(path, to_json(given))
    measure = references.of(given.protocol).measure
    lines = [
        f"drawn for {args.by} on {day}: {given.protocol} {done.method_id} seed {done.seed}",
        f"its record claims {measure.text(done.claimed)}; repeated on {given.session.processor} it gives "
        f"{measure.text(done.again)}, {measure.text(abs(done.again - done.claimed))} apart",
        f"{path}: hand it in with an issue or pull request",
    ]
    return answer(args, given.model_dump(mode="json") | {"written": str(path)}, lines)
