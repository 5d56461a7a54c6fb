"""`sgbench submit`: make a submission, a folder of finished runs, and check one as CI does."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.cli.common import (
    LEADERBOARDS,
    add_author,
    author_of,
    own_entry_options,
    print_json,
    print_lines,
    references_of,
    shared_options,
)
from sgbench.errors import InputError

if TYPE_CHECKING:
    from sgbench.records.record import RunRecord
    from sgbench.records.submission import ExternalRecord
    from sgbench.submissions.check import Checked
    from sgbench.submissions.make import Author, SubmissionSummary

SUBMISSIONS = Path("submissions")


def register(commands: Any) -> None:
    submit = commands.add_parser("submit", help="hand in a result: make a folder of runs, and check it")
    actions = submit.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_make(actions)
    checked = actions.add_parser("check", help="what CI runs on a pull request", parents=shared_options())
    checked.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="a submission")
    checked.add_argument("--strict", action="store_true", help="warnings count too")
    checked.set_defaults(handler=_check)
    checked.add_argument(
        "--board", type=Path, default=LEADERBOARDS, metavar="DIR", help="the boards; default: leaderboards"
    )


def _add_make(actions: Any) -> None:
    parser = actions.add_parser(
        "make", help="collect the runs of one method with everything that checks them", parents=shared_options()
    )
    parser.add_argument("source", type=Path, metavar="DIR", help="a runs folder or one inside it")
    parser.add_argument("--name", required=True, help="what the method is called")
    add_author(parser, required=True)
    parser.add_argument("--method", metavar="ID", help="where the folder has runs of several methods")
    parser.add_argument("--protocol", metavar="NAME", help="where it has runs of several protocols")
    parser.add_argument(
        "--external", action="store_true", help="code outside the catalogue: DIR holds predictions, <seed>.csv"
    )
    parser.add_argument("--failed", type=int, nargs="*", default=[], metavar="SEED", help="with --external")
    parser.add_argument("--to", type=Path, default=SUBMISSIONS, metavar="DIR", help="default: submissions")
    parser.set_defaults(handler=_make)


def _make(args: argparse.Namespace) -> int:
    """Make a submission, print what is in it and what checks find; return 1 if a check refuses it."""
    from pydantic import ValidationError

    from sgbench.records.files import first_problem

    author = author_of(args)
    try:
        summary = _make_submission(args, author)
    except ValidationError as error:
        raise InputError(f"--{first_problem(error)}") from error
    if args.json:
        print_json(asdict(summary) | {"left_out": [*map(str, summary.left_out)]})
        return 0
    return _print_summary(summary, args)


def _print_summary(summary: SubmissionSummary, args: argparse.Namespace) -> int:
    from sgbench.leaderboard.store.reading import by_cause
    from sgbench.submissions.check import check
    from sgbench.submissions.verify.verdict import DataJudge

    references = references_of(args)
    verdict = check(Path(summary.folder), references=references, judge=DataJudge(references))
    print_lines(f"{summary.folder}: {_description(summary, verdict)}")
    print_lines(f"on the test split, seed by seed: {', '.join(map(_score, verdict.records))}")
    for line in by_cause(summary.left_out):
        print_lines(f"left out: {line}")
    _print_problems(verdict)
    if verdict.refused(strict=False):
        print_lines("a check refuses it: mend that, remove the folder and make it again")
        return 1
    counted = ", where the warnings above count too" if verdict.problems else ""
    options = own_entry_options(args.config_dir, args.allow_target)
    check_command = ["sgbench", "submit", "check", summary.folder, "--strict", *options]
    print_lines(f"next: {shlex.join(check_command)}{counted}")
    return 0


def _print_problems(verdict: Checked, folder: str = "") -> None:
    from sgbench.leaderboard.store.reading import Finding, by_cause

    for level in ("error", "warning"):
        problems = [problem for problem in verdict.problems if problem.level == level]
        for line in by_cause(
            Finding(str(Path(folder, problem.path)), f"{problem.message} [{problem.code}]") for problem in problems
        ):
            print_lines(f"{level}: {line}")


def _description(summary: SubmissionSummary, verdict: Checked) -> str:
    from sgbench.leaderboard.differing_settings import surrogate_call

    method = None if verdict.submission is None else verdict.submission.method
    parts = [summary.protocol, f"division {summary.division}", f"{len(summary.seeds)} seeds"]
    if method is not None:
        parts.insert(1, surrogate_call(method.label, method.parameters.get("surrogate", {})))
        monitor = method.protocol.monitor.replace("_", " ")
        tuned = f"one of {summary.tuning_trials} settings, by mean {monitor}" if summary.tuning_trials else "untuned"
        parts.append(tuned)
    return ", ".join(parts)


def _make_submission(args: argparse.Namespace, author: Author) -> SubmissionSummary:
    """Write a submission's folder, from runs of this package or with --external from files of predictions."""
    from sgbench.submissions.make import make, make_external

    if args.external:
        from sgbench.submissions.verify.verdict import DataJudge

        references = references_of(args)
        if args.protocol is None:
            raise InputError("--protocol: the protocol of the predictions is needed with --external")
        return make_external(
            args.source,
            args.to,
            author,
            references=references,
            judge=DataJudge(references),
            protocol=args.protocol,
            failed=args.failed,
        )
    return make(
        args.source, args.to, author, references=references_of(args), method=args.method, protocol=args.protocol
    )


def _check(args: argparse.Namespace) -> int:
    from sgbench.submissions.check import check
    from sgbench.submissions.verify.verdict import DataJudge

    references = references_of(args)
    judge = DataJudge(references)
    verdicts = {
        str(folder): check(folder, references=references, judge=judge, board=args.board) for folder in args.folders
    }
    refused = any(verdict.refused(strict=args.strict) for verdict in verdicts.values())
    if args.json:
        print_json({folder: _tree(verdict, args.strict) for folder, verdict in verdicts.items()})
        return 1 if refused else 0
    for folder, verdict in verdicts.items():
        _print_problems(verdict, folder)
        print_lines(f"{folder}: {_verdict_word(verdict, strict=args.strict)}{_scores_text(verdict)}")
    return 1 if refused else 0


def _verdict_word(verdict: Checked, *, strict: bool) -> str:
    if not verdict.refused(strict=strict):
        return "fine"
    return "refused" if verdict.refused(strict=False) else "refused, since warnings count (--strict)"


def _tree(verdict: Checked, strict: bool) -> dict[str, Any]:
    """Convert a checked submission to a dictionary for JSON."""
    submission = verdict.submission
    return {
        "ok": not verdict.refused(strict=strict),
        "protocol": submission and submission.protocol,
        "method_id": submission and submission.method_id,
        "division": submission and submission.division,
        "problems": [asdict(problem) for problem in verdict.problems],
    }


def _scores_text(verdict: Checked) -> str:
    if verdict.submission is None:
        return ""
    scores = ", ".join(map(_score, verdict.records))
    submission = verdict.submission
    return f"; {submission.name}, {submission.protocol}, {submission.division}: {scores}"


def _score(record: RunRecord | ExternalRecord) -> str:
    from sgbench.leaderboard.store.predictions import claim_of

    claim = claim_of(record)
    if claim is None:
        return "failed"
    return f"loss {claim.score:.4g}" if claim.accuracy is None else f"{100 * claim.accuracy:.2f} %"
