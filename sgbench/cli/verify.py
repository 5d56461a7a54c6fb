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
    from sgbench.leaderboard.deviation import References
    from sgbench.submissions.verify.outcome import TierOutcome
    from sgbench.submissions.verify.retrain import UnsubmittedRow

BOARDS = Path("leaderboards")
RECORDS, TABLE = "records", "table.csv"
"""What a protocol's folder of a board has, and a submission has not."""
TIERS = ("rescored", "reinferred", "retrained")


def register(commands: Any) -> None:
    """Add the command `verify` to the parser."""
    parser = commands.add_parser(
        "verify", help="repeat what a submission claims: score, infer or train again"
    )
    parser.add_argument(
        "folder",
        type=Path,
        metavar="DIR",
        help="a submission; or leaderboards/PROTOCOL: each of its rows that nobody handed in",
    )
    parser.add_argument("--tier", choices=TIERS, required=True, help="rescored, reinferred or retrained")
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="look at the first N; default: all, 1 to retrain"
    )
    parser.add_argument("--method", metavar="ID", help="of these rows the ones whose id begins so")
    parser.add_argument("--by", metavar="NAME", help="write the outcome beside the claim, in this name")
    parser.add_argument("--board", type=Path, default=BOARDS, metavar="DIR", help="default: leaderboards")
    parser.add_argument(
        "--config-dir", action="append", default=[], type=Path, metavar="DIR", help="entries of your own"
    )
    parser.add_argument(
        "--allow-target", action="append", default=[], metavar="NAME", help="a class of your own"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.set_defaults(handler=_verify)


def _verify(args: argparse.Namespace) -> int:
    if (args.folder / RECORDS).is_dir() and (args.folder / TABLE).is_file():
        return _verify_rows(args)
    if args.method is not None:
        raise InputError(f"--method {args.method}: {args.folder} is one method; name leaderboards/PROTOCOL")
    return _verify_submission(args)


def _verify_rows(args: argparse.Namespace) -> int:
    """Train seeds of a board's own rows again, row by row; a verification already written is skipped."""
    from sgbench.leaderboard.deviation import References
    from sgbench.submissions.verify.retrain import own_rows

    if args.tier != "retrained":
        raise InputError(
            f"--tier {args.tier}: rows without a submission have no weights; use --tier retrained"
        )
    references = References(args.config_dir, args.allow_target)
    rows = [
        row
        for row in own_rows(args.folder, references=references)
        if row.method_id.startswith(args.method or "")
    ]
    if args.method is not None and not rows:
        raise InputError(
            f"--method {args.method}: no row of {args.folder} with such an id waits for re-training"
        )
    verdicts: dict[str, dict[str, Any]] = {}
    for row in rows:
        try:
            verdicts[row.method_id] = _trained_again(args, row, references)
        except InputError as error:
            verdicts[row.method_id] = {"passed": False, "error": str(error)}
            if not args.json:
                sys.stdout.write(f"{row.method_id} {row.method.label}\nFAILED: {printable(str(error))}\n")
    if args.json:
        sys.stdout.write(json.dumps(verdicts, indent=1, sort_keys=True) + "\n")
    elif not rows:
        sys.stdout.write(f"{printable(str(args.folder))}: no row waits for it\n")
    return 0 if all(verdict["passed"] for verdict in verdicts.values()) else 1


def _trained_again(args: argparse.Namespace, row: UnsubmittedRow, references: References) -> dict[str, Any]:
    """Train one row again, write the verification if asked to, and print the outcome."""
    from sgbench.submissions.verify.retrain import retrained

    seeds = _seeds(args, sorted(row.claims))
    outcome = retrained(row.method_id, row.method, row.claims, seeds, references=references)
    written = None if args.by is None else _write(args, args.folder, row.method_id, outcome)
    if not args.json:
        sys.stdout.write(f"{row.method_id} {row.method.label}\n")
        _say(outcome, written)
    return asdict(outcome) | {"written": written}


def _verify_submission(args: argparse.Namespace) -> int:
    from sgbench.leaderboard.deviation import References
    from sgbench.leaderboard.store.answers import claim_of
    from sgbench.leaderboard.store.dossier import place_of
    from sgbench.submissions.check import check
    from sgbench.submissions.verify.judge import DataJudge
    from sgbench.submissions.verify.tiers import Verifier

    references = References(args.config_dir, args.allow_target)
    verdict = check(args.folder, references=references, judge=DataJudge(references, data=False))
    errors = [problem for problem in verdict.problems if problem.level == "error"]
    if verdict.submission is None or errors:
        raise InputError(
            f"{args.folder}: {errors[0].path}: {errors[0].message}; see: sgbench submit check {args.folder}"
        )
    finished = {record.seed: record for record in verdict.records if claim_of(record) is not None}
    outcome = Verifier(args.folder, verdict.submission, finished, references).verify(
        args.tier, _seeds(args, sorted(finished))
    )
    written = None
    if args.by is not None:
        folder = args.board / verdict.submission.protocol
        held = place_of(folder, verdict.submission)
        if not held.is_file():
            raise InputError(f"{held}: not on the board yet; first: sgbench submit accept {args.folder}")
        written = _write(args, folder, verdict.submission.method_id, outcome)
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


def _write(args: argparse.Namespace, folder: Path, method_id: str, outcome: TierOutcome) -> str:
    from pydantic import ValidationError

    from sgbench.leaderboard.store.dossier import place
    from sgbench.records.files import first_problem
    from sgbench.records.trust import Verification
    from sgbench.training.provenance import Code

    code = Code.here()
    try:
        verification = Verification(
            schema_version=1,
            protocol=folder.name,
            method_id=method_id,
            verifier=args.by,
            commit=code.commit,
            versions=code.versions,
            created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
            **asdict(outcome),
        )
    except ValidationError as error:
        raise InputError(f"--by: {first_problem(error)}") from error
    return str(place(folder, verification))


def _numbers(outcome: TierOutcome) -> str:
    if outcome.claimed_accuracy is None or outcome.verified_accuracy is None:
        return f"claimed loss {outcome.claimed_loss:.4g}, verified {outcome.verified_loss:.4g}"
    return f"claimed {100 * outcome.claimed_accuracy:.2f} %, verified {100 * outcome.verified_accuracy:.2f} %"


def _say(outcome: TierOutcome, written: str | None) -> None:
    verdict = "passed" if outcome.passed else "FAILED"
    lines = [
        f"{outcome.tier}: {verdict}; seeds {', '.join(map(str, outcome.seeds))}",
        _numbers(outcome),
        outcome.statement,
        "not written; --by NAME writes it beside the claim" if written is None else f"written to {written}",
    ]
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
