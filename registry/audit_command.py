"""`python -m registry audit`: train seeds of rows again, and compare them with their records."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from registry.audit import AuditRequest, BoardAudit
from registry.detection import detection_curve, perfect_claims
from sgbench.cli.common import LEADERBOARDS, chosen_protocols, print_json, print_lines, references_of, shared_options
from sgbench.errors import InputError
from sgbench.leaderboard.store.audits import MIN_SOLVED, tolerance_in_use
from sgbench.leaderboard.store.tree import protocols
from sgbench.paths import default_runs_dir
from sgbench.records.spec import RunSpec
from sgbench.replicas.sweep import run_sweep
from sgbench.submissions.draws import draw_problems
from sgbench.sweeps.outcome import headline
from sgbench.training.runner import run_spec

ENGINES = ("auto", "fused", "scan", "reference")
SECOND_LOOK = ("scan", "reference")
"""Engines that round otherwise; a seed out of tolerance is trained again on each."""
TWICE = 2.0
"""Tolerances by which a doctored row has to be caught."""


def register(commands: Any) -> None:
    audit = commands.add_parser(
        "audit", help="train seeds of rows again and compare them with their records", parents=shared_options()
    )
    audit.add_argument("--root", type=Path, default=LEADERBOARDS, metavar="DIR", help="default: leaderboards")
    audit.add_argument(
        "--protocol", action="append", metavar="NAMES", help="these boards alone: with commas, or several times"
    )
    audit.add_argument("--method", default="", metavar="ID", help="of the rows those whose id begins so")
    audit.add_argument("--rows", type=int, metavar="N", help="a random sample of so many; default: every row")
    audit.add_argument("--seeds", type=int, default=1, metavar="N", help="drawn of each row; default: 1")
    audit.add_argument(
        "--draw",
        type=int,
        metavar="N",
        help="number that draws; default: the last commit's, and of what was handed in the promised commit's",
    )
    audit.add_argument("--engine", choices=ENGINES, default="auto", help="default: auto")
    audit.add_argument(
        "--by", metavar="NAME", help="train and write, in this name; without it only what would be trained is told"
    )
    audit.add_argument("--runs", type=Path, metavar="DIR", help="of the new runs; default: audit in the runs folder")
    audit.add_argument(
        "--pass-over", metavar="WHY", help="write why the row of --method has a rank without being trained again"
    )
    audit.add_argument("--fresh", action="store_true", help="score stored weights on samples that the draw makes")
    audit.add_argument(
        "--curve", action="store_true", help="tell how often a doctored row would be caught, by simulation"
    )
    audit.set_defaults(handler=_audit)


def _audit(args: argparse.Namespace) -> int:
    """Train drawn rows of each board again; return 1 if one of them failed."""
    for option, value in (("--rows", args.rows), ("--seeds", args.seeds)):
        if value is not None and value < 1:
            raise InputError(f"{option} {value}: at least 1 is needed")
    if args.draw is not None and args.draw < 0:
        raise InputError(f"--draw {args.draw}: a whole number of at least 0 is needed")
    references = references_of(args)
    runs_dir = args.runs or default_runs_dir() / "audit"
    known = protocols(args.root, layout="leaderboards")
    reports = {}
    for name in chosen_protocols(args.protocol, known):
        audit = BoardAudit(args.root / name, references=references, runs_dir=runs_dir)
        reports[name] = _one_board(audit, args)
    if args.json:
        print_json(reports)
    return 1 if any(report["failed"] for report in reports.values()) else 0


def _one_board(audit: BoardAudit, args: argparse.Namespace) -> dict[str, Any]:
    """Do what is asked of one board, print it in lines unless JSON is asked for, and return it."""
    request = AuditRequest(args.draw, args.rows, args.seeds, args.method, args.engine)
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
    return _report(audit, request, args)


def _train(audit: BoardAudit, request: AuditRequest, args: argparse.Namespace) -> None:
    """Train the drawn seeds again; then more seeds if shares of solved ones are compared.

    Else the seeds of rows that do not agree are trained on engines that round otherwise.
    """

    def again(asked_for: AuditRequest) -> None:
        audit.train(asked_for, verifier=args.by, runner=_quietly if args.json else _replicas)

    again(request)
    tolerance = tolerance_in_use(audit.audit)
    if tolerance is not None and tolerance.solved_from is not None:
        again(replace(request, seeds=max(MIN_SOLVED, request.seeds)))
        return
    for engine in SECOND_LOOK:
        for method in audit.failed():
            again(replace(request, method=method, rows=None, engine=engine))


def _replicas(specs: Sequence[RunSpec]) -> None:
    run_sweep(specs, range(len(specs)), workers=1, largest=None, headline=headline)


def _quietly(specs: Sequence[RunSpec]) -> None:
    for spec in specs:
        run_spec(spec)


def _report(audit: BoardAudit, request: AuditRequest, args: argparse.Namespace) -> dict[str, Any]:
    """Describe what was drawn, what is left and what does not agree; print it unless JSON is asked for."""
    drawn, left = audit.drawn(request), audit.left(request)
    finished = {method_id: [*row.claims] for method_id, row in audit.rows.items()}
    wrong_draws = list(draw_problems(audit.audit, audit.folder, finished))
    failed = [*audit.failed(), *wrong_draws]
    tolerance = tolerance_in_use(audit.audit)
    if not args.json:
        for verdict in audit.verdicts():
            word = "passed" if verdict.passed else "FAILED"
            print_lines(f"{audit.folder.name} {verdict.method_id} {word}: {verdict.statement}")
        time_s = sum(row.fit_s for row, _ in left)
        remedy = "" if args.by or not left else "; --by NAME trains them"
        counts = f"{len(drawn)} runs drawn by {audit.number(request)}, {len(left)} left"
        print_lines(
            f"{audit.folder.name}: {counts} ({time_s:.0f} s by their records), {len(failed)} rows failed{remedy}"
        )
        for reason in (*audit.waiting.values(), *wrong_draws):
            print_lines(reason)
        if tolerance is not None:
            print_lines(f"{audit.folder.name}: {_caught(audit)}")
    return {
        "draw": audit.number(request),
        "drawn": len(drawn),
        "left": [[row.method_id, seed] for row, seed in left],
        "failed": failed,
        "tolerance": None if tolerance is None else tolerance.model_dump(),
    }


def _caught(audit: BoardAudit) -> str:
    """Write how often a row would be caught that is doctored by two tolerances, or in all its seeds."""
    tolerance = tolerance_in_use(audit.audit)
    points = detection_curve(audit.audit)
    if tolerance is not None and tolerance.solved_from is not None:
        return f"a row {points[-1]}"
    return f"a row {next(point for point in points if point.amount == TWICE)}"


def _fresh(audit: BoardAudit, request: AuditRequest, args: argparse.Namespace) -> dict[str, Any]:
    """Score stored weights on samples drawn anew, and print them beside the claims."""
    scores = audit.score_fresh(request)
    measure = audit.reference.measure
    if not args.json:
        for score in scores:
            claimed, fresh = measure.text(score.claimed), measure.text(score.fresh)
            print_lines(f"{audit.folder.name} {score.method_id}: claimed {claimed}, on samples drawn anew {fresh}")
        print_lines(f"{audit.folder.name}: {len(scores)} rows scored on samples drawn by {audit.number(request)}")
    return {"failed": [], "fresh": [score.model_dump() for score in scores]}


def _curve(audit: BoardAudit, args: argparse.Namespace) -> dict[str, Any]:
    """Describe how often rows doctored by multiples of the tolerance are caught."""
    curve = detection_curve(audit.audit)
    passing, honest = perfect_claims(audit.audit)
    if not args.json:
        for point in curve:
            print_lines(f"{audit.folder.name}: {point}")
        print_lines(
            f"{audit.folder.name}: a perfect score passes in {passing} of {curve[0].drawn} draws; {honest} of all "
            "have it in their records"
        )
    return {
        "failed": [],
        "curve": [point.tree for point in curve],
        "perfect": {"passing": passing, "in_records": honest, "draws": curve[0].drawn},
    }
