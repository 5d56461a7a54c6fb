"""`sgbench verify`: repeats the runs or scores that a submission claims."""

from __future__ import annotations

import argparse
import secrets
import shlex
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.cli.common import LEADERBOARDS, answer, shared_options
from sgbench.errors import InputError

if TYPE_CHECKING:
    from sgbench.submissions.verify.verdict import TierOutcome

BOARD_RECORDS, TABLE = "records", "table.csv"
"""Folder and file by which a protocol's folder of a board is recognised."""
TIERS = ("rescored", "reinferred", "retrained")


def register(commands: Any) -> None:
    parser = commands.add_parser(
        "verify", help="repeat what a submission claims: score, infer or train again", parents=shared_options()
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="a submission")
    parser.add_argument("--tier", choices=TIERS, required=True, help="rescored, reinferred or retrained")
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="check N of them, to retrain at random ones; default: all"
    )
    parser.add_argument("--by", metavar="NAME", help="store the outcome with the submission, under this name")
    parser.add_argument("--board", type=Path, default=LEADERBOARDS, metavar="DIR", help="default: leaderboards")
    parser.set_defaults(handler=_verify)


def _verify(args: argparse.Namespace) -> int:
    """Answer `sgbench verify`; a board's folder is told apart, since its rows have a command of their own."""
    if (args.folder / BOARD_RECORDS).is_dir() and (args.folder / TABLE).is_file():
        where = "" if args.folder.parent == LEADERBOARDS else f" --root {shlex.quote(str(args.folder.parent))}"
        raise InputError(
            f"{args.folder}: a board; its rows are trained again by: "
            f"python -m registry audit --protocol {args.folder.name}{where} --by NAME"
        )
    return _verify_submission(args)


def _verify_submission(args: argparse.Namespace) -> int:
    """Repeat the claims of a submission, and store the outcome with --by; return 1 if a claim does not hold."""
    from sgbench.leaderboard.deviation import References
    from sgbench.leaderboard.store.audits import read_audit
    from sgbench.leaderboard.store.method_provenance import place_of
    from sgbench.leaderboard.store.predictions import claim_of
    from sgbench.submissions.check import check
    from sgbench.submissions.verify.tiers import Verifier
    from sgbench.submissions.verify.verdict import DataJudge

    if args.by is not None and args.tier == "retrained":
        raise InputError(
            "--by: which seeds of a row are trained again is drawn; store it by: "
            "python -m registry audit --protocol NAME --method ID --by NAME"
        )
    references = References(args.config_dir, args.allow_target)
    verdict = check(args.folder, references=references, judge=DataJudge(references, data=False))
    errors = [problem for problem in verdict.problems if problem.level == "error"]
    if verdict.submission is None or errors:
        raise InputError(
            f"{args.folder}: {errors[0].path}: {errors[0].message}; see: sgbench submit check {args.folder}"
        )
    finished = {record.seed: record for record in verdict.records if claim_of(record) is not None}
    folder = args.board / verdict.submission.protocol
    audit = read_audit(folder, [])
    repeatability = None if audit is None else audit.repeatability
    outcome = Verifier(args.folder, verdict.submission, finished, references, repeatability).verify(
        args.tier, _seeds(args, sorted(finished))
    )
    written = None
    if args.by is not None:
        submission_path = place_of(folder, verdict.submission)
        if not submission_path.is_file():
            raise InputError(f"{submission_path}: not on the board yet; first: python -m registry accept {args.folder}")
        written = _store_verification(args, folder, verdict.submission.method_id, outcome)
    answer(args, asdict(outcome) | {"written": written}, _lines(outcome, written))
    return 0 if outcome.passed else 1


def _seeds(args: argparse.Namespace, finished: list[int]) -> list[int]:
    """Return the seeds to verify: all, or --seeds of them, which are drawn at random to be trained again."""
    count = args.seeds if args.seeds is not None else len(finished)
    if not 1 <= count <= len(finished):
        raise InputError(f"--seeds {count}: 1 to {len(finished)}, as many as finished, can be checked")
    if args.tier == "retrained":
        return sorted(secrets.SystemRandom().sample(finished, count))
    return finished[:count]


def _store_verification(args: argparse.Namespace, folder: Path, method_id: str, outcome: TierOutcome) -> str:
    """Store the outcome with the submission, and return the path."""
    from pydantic import ValidationError

    from sgbench.leaderboard.store.method_provenance import place
    from sgbench.records.files import first_problem
    from sgbench.records.submission import Verification
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


def _scores_line(outcome: TierOutcome) -> str:
    if outcome.claimed_accuracy is None or outcome.verified_accuracy is None:
        return f"claimed loss {outcome.claimed_loss:.4g}, verified {outcome.verified_loss:.4g}"
    return f"claimed {100 * outcome.claimed_accuracy:.2f} %, verified {100 * outcome.verified_accuracy:.2f} %"


def _lines(outcome: TierOutcome, written: str | None) -> list[str]:
    """Write the outcome of a verification as lines."""
    return [
        f"{outcome.tier}: {'passed' if outcome.passed else 'FAILED'}; seeds {', '.join(map(str, outcome.seeds))}",
        _scores_line(outcome),
        outcome.statement,
        "not written; --by NAME stores it with the submission" if written is None else f"written to {written}",
    ]
