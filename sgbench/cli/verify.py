"""`sgbench verify` and `sgbench board audit`: repeat what a submission or the rows of a board claim."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.cli.common import LEADERBOARDS, answer, asked, references_of, say, say_json, shared
from sgbench.errors import InputError
from sgbench.paths import default_runs_dir

if TYPE_CHECKING:
    from sgbench.records.spec import RunSpec
    from sgbench.submissions.verify.audit import AuditRequest, BoardAudit
    from sgbench.submissions.verify.outcome import TierOutcome

RECORDS, TABLE = "records", "table.csv"
"""What a protocol's folder of a board has, and a submission has not."""
TIERS = ("rescored", "reinferred", "retrained")
ENGINES = ("auto", "fused", "scan", "reference")
SECOND_LOOK = ("scan", "reference")
"""Engines that round otherwise; a seed out of tolerance is trained again on each."""
TWICE = 2.0
"""Tolerances by which a doctored row has to be caught."""


def register(commands: Any) -> None:
    """Add the command `verify` to the parser."""
    parser = commands.add_parser(
        "verify", help="repeat what a submission claims: score, infer or train again", parents=shared()
    )
    parser.add_argument(
        "folder",
        type=Path,
        metavar="DIR",
        help="a submission",
    )
    parser.add_argument("--tier", choices=TIERS, required=True, help="rescored, reinferred or retrained")
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="look at the first N; default: all, 1 to retrain"
    )
    parser.add_argument("--by", metavar="NAME", help="write the outcome beside the claim, in this name")
    parser.add_argument(
        "--board", type=Path, default=LEADERBOARDS, metavar="DIR", help="default: leaderboards"
    )
    parser.set_defaults(handler=_verify)


def _verify(args: argparse.Namespace) -> int:
    if (args.folder / RECORDS).is_dir() and (args.folder / TABLE).is_file():
        where = (
            "" if args.folder.parent == LEADERBOARDS else f" --root {shlex.quote(str(args.folder.parent))}"
        )
        raise InputError(
            f"{args.folder}: a board; its rows are trained again by: "
            f"sgbench board audit --protocol {args.folder.name}{where} --by NAME"
        )
    return _verify_submission(args)


def _verify_submission(args: argparse.Namespace) -> int:
    from sgbench.leaderboard.deviation import References
    from sgbench.leaderboard.store.method_provenance import place_of
    from sgbench.leaderboard.store.prediction_tables import claim_of
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
    answer(args, asdict(outcome) | {"written": written}, _lines(outcome, written))
    return 0 if outcome.passed else 1


def _seeds(args: argparse.Namespace, finished: list[int]) -> list[int]:
    count = args.seeds if args.seeds is not None else (1 if args.tier == "retrained" else len(finished))
    if not 1 <= count <= len(finished):
        raise InputError(f"--seeds {count}: 1 to {len(finished)}, as many as finished, can be looked at")
    return finished[:count]


def _write(args: argparse.Namespace, folder: Path, method_id: str, outcome: TierOutcome) -> str:
    from pydantic import ValidationError

    from sgbench.leaderboard.store.method_provenance import place
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


def _lines(outcome: TierOutcome, written: str | None) -> list[str]:
    verdict = "passed" if outcome.passed else "FAILED"
    return [
        f"{outcome.tier}: {verdict}; seeds {', '.join(map(str, outcome.seeds))}",
        _numbers(outcome),
        outcome.statement,
        "not written; --by NAME writes it beside the claim" if written is None else f"written to {written}",
    ]


def register_audit(actions: Any) -> None:
    """Add `audit` to the subcommands of `board`."""
    audit = actions.add_parser(
        "audit", help="train seeds of rows again and compare them with their records", parents=shared()
    )
    audit.add_argument("--root", type=Path, default=LEADERBOARDS, metavar="DIR", help="default: leaderboards")
    audit.add_argument(
        "--protocol",
        action="append",
        metavar="NAMES",
        help="these boards alone: with commas, or several times",
    )
    audit.add_argument("--method", default="", metavar="ID", help="of the rows those whose id begins so")
    audit.add_argument("--rows", type=int, metavar="N", help="a random sample of so many; default: every row")
    audit.add_argument("--seeds", type=int, default=1, metavar="N", help="drawn of each row; default: 1")
    audit.add_argument(
        "--draw", type=int, metavar="N", help="number of the draw; default: the board's last, or today's date"
    )
    audit.add_argument("--engine", choices=ENGINES, default="auto", help="default: auto")
    audit.add_argument(
        "--by",
        metavar="NAME",
        help="train and write, in this name; without it only what would be trained is told",
    )
    audit.add_argument(
        "--runs", type=Path, metavar="DIR", help="of the new runs; default: audit in the runs folder"
    )
    audit.add_argument(
        "--pass-over",
        metavar="WHY",
        help="write why the row of --method has a rank without being trained again",
    )
    audit.add_argument(
        "--fresh", action="store_true", help="score stored weights on samples that the draw makes"
    )
    audit.add_argument(
        "--curve", action="store_true", help="tell how often a doctored row would be caught, by simulation"
    )
    audit.set_defaults(handler=_audit)


def _audit(args: argparse.Namespace) -> int:
    from sgbench.leaderboard.store.tree import protocols
    from sgbench.submissions.verify.audit import BoardAudit

    for option, value in (("--rows", args.rows), ("--seeds", args.seeds)):
        if value is not None and value < 1:
            raise InputError(f"{option} {value}: at least 1 is needed")
    if args.draw is not None and args.draw < 0:
        raise InputError(f"--draw {args.draw}: a whole number of at least 0 is needed")
    references = references_of(args)
    runs_dir = args.runs or default_runs_dir() / "audit"
    known = protocols(args.root, layout="leaderboards")
    told = {}
    for name in asked(args.protocol, known):
        audit = BoardAudit(args.root / name, references=references, runs_dir=runs_dir)
        told[name] = _one_board(audit, args)
    if args.json:
        say_json(told)
    return 1 if any(each["failed"] for each in told.values()) else 0


def _one_board(audit: BoardAudit, args: argparse.Namespace) -> dict[str, Any]:
    """Do what is asked of one board, tell it in lines unless as JSON, and return it."""
    request = _request(audit, args)
    if args.pass_over is not None:
        if not args.by or not args.method:
            raise InputError("--pass-over: name one row with --method, and yourself with --by")
        audit.pass_over(request, args.pass_over)
        request = replace(request, method="")
    elif args.curve:
        return _curve(audit, args)
    elif args.fresh:
        return _fresh(audit, request, args)
    elif args.by is not None:
        _train(audit, request, args)
    return _told(audit, request, args)


def _request(audit: BoardAudit, args: argparse.Namespace) -> AuditRequest:
    from sgbench.submissions.verify.audit import AuditRequest

    sessions = audit.audit.sessions
    today = int(datetime.now(UTC).strftime("%Y%m%d"))
    draw = args.draw if args.draw is not None else sessions[-1].draw if sessions else today
    return AuditRequest(draw, args.rows, args.seeds, args.method, args.engine)


def _train(audit: BoardAudit, request: AuditRequest, args: argparse.Namespace) -> None:
    """Train what is drawn; then more seeds where these hang on rounding, else other engines where one is out."""
    from sgbench.leaderboard.store.audits import MIN_SOLVED

    def again(asked_for: AuditRequest) -> None:
        audit.train(asked_for, verifier=args.by, runner=_quietly if args.json else _replicas)

    again(request)
    tolerance = audit.audit.tolerance
    if tolerance is not None and tolerance.solved_from is not None:
        again(replace(request, seeds=max(MIN_SOLVED, request.seeds)))
        return
    for engine in SECOND_LOOK:
        for method in audit.failed():
            again(replace(request, method=method, rows=None, engine=engine))


def _replicas(specs: Sequence[RunSpec]) -> None:
    """Train runs side by side in one process, and tell how far they are and how long it takes."""
    from sgbench.replicas.sweep import run_sweep
    from sgbench.sweeps.outcome import headline

    run_sweep(specs, range(len(specs)), workers=1, largest=None, headline=headline)


def _quietly(specs: Sequence[RunSpec]) -> None:
    """Train runs one after another, so that standard output holds JSON alone."""
    from sgbench.training.runner import run_spec

    for spec in specs:
        run_spec(spec)


def _told(audit: BoardAudit, request: AuditRequest, args: argparse.Namespace) -> dict[str, Any]:
    """Tell what was drawn, what is left and what does not agree."""
    drawn, left, failed = audit.drawn(request), audit.left(request), audit.failed()
    tolerance = audit.audit.tolerance
    if not args.json:
        for verdict in audit.verdicts():
            word = "passed" if verdict.passed else "FAILED"
            say(f"{audit.folder.name} {verdict.method_id} {word}: {verdict.statement}")
        time_s = sum(row.fit_s for row, _ in left)
        way = "" if args.by or not left else "; --by NAME trains them"
        said = (
            f"{len(drawn)} runs drawn by {request.draw}, {len(left)} left ({time_s:.0f} s by their records)"
        )
        say(f"{audit.folder.name}: {said}, {len(failed)} rows failed{way}")
        if tolerance is not None:
            say(f"{audit.folder.name}: {_caught(audit)}")
    return {
        "draw": request.draw,
        "drawn": len(drawn),
        "left": [[row.method_id, seed] for row, seed in left],
        "failed": failed,
        "tolerance": None if tolerance is None else tolerance.model_dump(),
    }


def _caught(audit: BoardAudit) -> str:
    """Tell how often a doctored row would be caught: by twice the tolerance, or where all seeds are turned."""
    from sgbench.submissions.verify.detection import detection_curve

    solved = audit.audit.tolerance is not None and audit.audit.tolerance.solved_from is not None
    points = detection_curve(audit.audit)
    return f"a row {points[-1] if solved else next(point for point in points if point.amount == TWICE)}"


def _fresh(audit: BoardAudit, request: AuditRequest, args: argparse.Namespace) -> dict[str, Any]:
    """Score weights on samples drawn anew, and tell what they claim and score."""
    scores = audit.score_fresh(request)
    measure = audit.reference.measure
    if not args.json:
        for score in scores:
            claimed, fresh = measure.text(score.claimed), measure.text(score.fresh)
            say(f"{audit.folder.name} {score.method_id}: claimed {claimed}, on samples drawn anew {fresh}")
        say(f"{audit.folder.name}: {len(scores)} rows scored on samples drawn by {request.draw}")
    return {"failed": [], "fresh": [score.model_dump() for score in scores]}


def _curve(audit: BoardAudit, args: argparse.Namespace) -> dict[str, Any]:
    """Tell how often rows doctored by multiples of the tolerance are caught."""
    from sgbench.submissions.verify.detection import detection_curve, perfect_claims

    curve = detection_curve(audit.audit)
    passing, honest = perfect_claims(audit.audit)
    if not args.json:
        for point in curve:
            sys.stdout.write(f"{audit.folder.name}: {point}\n")
        sys.stdout.write(
            f"{audit.folder.name}: a perfect score passes in {passing} of {curve[0].drawn} draws; {honest} of all "
            "have it in their records\n"
        )
    return {
        "failed": [],
        "curve": [point.tree for point in curve],
        "perfect": {"passing": passing, "in_records": honest, "draws": curve[0].drawn},
    }
