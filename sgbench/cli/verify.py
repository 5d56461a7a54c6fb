"""`sgbench verify`: repeat what a submission claims, tier by tier."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.errors import InputError, printable

if TYPE_CHECKING:
    from sgbench.records.submission import Submission
    from sgbench.submissions.verify.tiers import Outcome

BOARDS = Path("leaderboards")
TIERS = ("rescored", "reinferred", "retrained")


def register(commands: Any) -> None:
    """Add `verify`."""
    parser = commands.add_parser(
        "verify", help="repeat what a submission claims: score, infer or train again"
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="a submission")
    parser.add_argument("--tier", choices=TIERS, required=True, help="rescored, reinferred or retrained")
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="look at the first N; default: all, 1 to retrain"
    )
    parser.add_argument("--by", metavar="NAME", help="write the outcome beside the claim, in this name")
    parser.add_argument("--board", type=Path, default=BOARDS, metavar="DIR", help="default: leaderboards")
    parser.add_argument(
        "--config-dir", action="append", default=[], type=Path, metavar="DIR", help="entries of your own"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.set_defaults(handler=_verify)


def _verify(args: argparse.Namespace) -> int:
    from sgbench.leaderboard.deviation import References
    from sgbench.leaderboard.store.answers import claim_of
    from sgbench.submissions.check import check
    from sgbench.submissions.verify.judge import DataJudge
    from sgbench.submissions.verify.tiers import Verifier

    references = References(args.config_dir)
    found = check(args.folder, references=references, judge=DataJudge(references, data=False))
    errors = [problem for problem in found.problems if problem.level == "error"]
    if found.submission is None or errors:
        raise InputError(
            f"{args.folder}: {errors[0].path}: {errors[0].message}; see: sgbench submit check {args.folder}"
        )
    finished = {record.seed: record for record in found.records if claim_of(record) is not None}
    outcome = Verifier(args.folder, found.submission, finished, references).verify(
        args.tier, _seeds(args, sorted(finished))
    )
    written = None if args.by is None else _write(args, found.submission, outcome)
    if args.json:
        sys.stdout.write(json.dumps(asdict(outcome) | {"written": written}, indent=1, sort_keys=True) + "\n")
    else:
        _say(outcome, written)
    return 0 if outcome.passed else 1


def _seeds(args: argparse.Namespace, finished: list[int]) -> list[int]:
    count = args.seeds if args.seeds is not None else (1 if args.tier == "retrained" else len(finished))
    if not 1 <= count <= len(finished):
        raise InputError(f"--seeds {count}: 1 to {len(finished)}, as many as finished, can be looked at")
    return finished[:count]


def _write(args: argparse.Namespace, submission: Submission, outcome: Outcome) -> str:
    from pydantic import ValidationError

    from sgbench.leaderboard.store.dossier import place, place_of
    from sgbench.records.files import first_problem
    from sgbench.records.trust import Verification
    from sgbench.training.provenance import Code

    code = Code.here()
    try:
        verification = Verification(
            schema_version=1,
            protocol=submission.protocol,
            method_id=submission.method_id,
            verifier=args.by,
            commit=code.commit,
            versions=code.versions,
            created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
            **asdict(outcome),
        )
    except ValidationError as error:
        raise InputError(f"--by: {first_problem(error)}") from error
    folder = args.board / submission.protocol
    held = place_of(folder, submission)
    if not held.is_file():
        raise InputError(f"{held}: not on the board yet; first: sgbench submit accept {args.folder}")
    return str(place(folder, verification))


def _numbers(outcome: Outcome) -> str:
    if outcome.claimed_accuracy is None or outcome.verified_accuracy is None:
        return f"claimed loss {outcome.claimed_loss:.4g}, verified {outcome.verified_loss:.4g}"
    return f"claimed {100 * outcome.claimed_accuracy:.2f} %, verified {100 * outcome.verified_accuracy:.2f} %"


def _say(outcome: Outcome, written: str | None) -> None:
    verdict = "passed" if outcome.passed else "FAILED"
    lines = [
        f"{outcome.tier}: {verdict}; seeds {', '.join(map(str, outcome.seeds))}",
        _numbers(outcome),
        outcome.statement,
        "not written; --by NAME writes it beside the claim" if written is None else f"written to {written}",
    ]
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
