"""`python -m study`: in a clone, report a study, measure and plan what it needs, and put its runs on boards."""

import argparse
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sgbench.cli.common import LEADERBOARDS, CommandParser, answer, print_lines, references_of, shared_options
from sgbench.cli.main import run_command_line
from sgbench.cli.study import add_common, folders_of
from sgbench.errors import InputError
from sgbench.study_runner.definition import load_study, pick_blocks
from sgbench.study_runner.store import MANIFEST
from sgbench.tables import aligned
from study.answer import stale, write
from study.reporting.analysis import function_of
from study.reporting.plan import HEADER
from study.reporting.publish import publish
from study.reporting.registration import Checkout, checkout_root
from study.reporting.report import gather, make_report, own_checkout, pages_folder


def main(argv: Sequence[str] | None = None) -> int:
    return run_command_line(_dispatch, argv)


def _dispatch(words: list[str]) -> int:
    args = parser().parse_args(words)
    args.words = words
    return args.handler(args)


def parser() -> argparse.ArgumentParser:
    top = CommandParser(prog="python -m study", description=__doc__)
    commands: Any = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    reporting = commands.add_parser(
        "report",
        help="write verdicts, figures and tables from the store alone",
        allow_abbrev=False,  # a stale page's remedy repeats the words without --check
        parents=shared_options(classes=False, machine=False),
    )
    add_common(reporting)
    reporting.add_argument(
        "--to", type=Path, metavar="DIR", help="folder of the pages (default: docs/NAME; of surrogates: docs/study)"
    )
    reporting.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 and name the pages that are stale"
    )
    reporting.add_argument(
        "--unverified", action="store_true", help="compare no commits with the registration's; every page says so"
    )
    reporting.set_defaults(handler=_report_study)
    measuring = commands.add_parser(
        "measure",
        help="how each task's network starts, before training, for sgbench recommend",
        parents=shared_options(classes=False, machine=False),
    )
    add_common(measuring)
    measuring.add_argument("--data-dir", type=Path, metavar="DIR", help="where files of data sets lie")
    measuring.add_argument(
        "--gradients",
        action="store_true",
        help="gradients and potentials of every cell of the map instead, for the report; minutes",
    )
    measuring.set_defaults(handler=measure_study)
    planning = commands.add_parser(
        "plan", help="what would decide each open claim: runs, cost and chance", parents=shared_options(classes=False)
    )
    add_common(planning)
    planning.set_defaults(handler=_plan_study)
    _add_answer(commands)
    publishing = commands.add_parser(
        "publish", help="add the records of blocks that report to boards", parents=shared_options(machine=False)
    )
    add_common(publishing)
    publishing.add_argument("--to", type=Path, default=LEADERBOARDS, metavar="DIR", help="default: leaderboards")
    publishing.set_defaults(handler=_publish_study)
    return top


def _add_answer(commands: Any) -> None:
    answering = commands.add_parser(
        "answer", help="write study/answer.json and the passages of README and docs from answer.yaml and the results"
    )
    answering.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 and name the files that are stale"
    )
    answering.set_defaults(handler=_answer_studies)


def _report_study(args: argparse.Namespace) -> int:
    """Write the pages of a study's report, or with --check name those that are stale."""
    loaded = load_study(args.name, args.config_dir)
    checkout = None if args.unverified else Checkout.around(Path.cwd(), loaded.study.registration)
    if checkout is None and not args.unverified:
        raise InputError(
            f"a report compares each record's commit with that of {loaded.study.registration}, and this is no "
            "checkout that holds it; run inside one, or go on with --unverified"
        )
    store = folders_of(args, loaded.name).store
    report = make_report(loaded, store, checkout=checkout)
    own = own_checkout(checkout_root(Path.cwd()), store)
    to = args.to or pages_folder(loaded.name)
    if args.check:
        stale = report.all_stale(to, store.folder, own)
        again = shlex.join(word for word in args.words if word != "--check")
        print_lines([f"{path} is stale; write it with python -m study {again}" for path in stale])
        return 1 if stale else 0
    written = report.write(to)
    print_lines([f"{store.folder / name} written anew" for name in report.write_beside(store.folder)])
    print_lines([f"{name} has its passage anew" for name in report.write_passages(own)])
    print_lines(f"{len(written)} files written in {to}, {len(report.pages)} pages in all")
    return 0


def _answer_studies(args: argparse.Namespace) -> int:
    """Write the studies' answer and the passages that quote it, or with --check name the stale ones."""
    root = checkout_root(Path.cwd())
    if root is None:
        raise InputError("answer: is made in a checkout; run inside one")
    if args.check:
        old = stale(root)
        print_lines([f"{path} is stale; write it with python -m study answer" for path in old])
        return 1 if old else 0
    print_lines([f"{path} written anew" for path in write(root)])
    return 0


def _plan_study(args: argparse.Namespace) -> int:
    loaded = load_study(args.name, args.config_dir)
    plan = function_of(loaded, "plan")
    lines = list(plan(gather(loaded, folders_of(args, loaded.name).store, checkout=None)))
    text = aligned([HEADER, *(line.cells for line in lines)], text_columns=1) if lines else ["no claim is open"]
    return answer(args, [asdict(line) for line in lines], text)


def measure_study(args: argparse.Namespace) -> int:
    """Measure a study's networks before training, as its analysis does, and store it beside the records."""
    loaded = load_study(args.name, args.config_dir)
    measure = function_of(loaded, "measure")
    for line in measure(loaded, folders_of(args, loaded.name), gradients=args.gradients):
        print_lines(line)
    return 0


def _publish_study(args: argparse.Namespace) -> int:
    """Add the records of a study's blocks to the boards, and print which were not taken and why."""
    if not args.block:
        raise InputError("--block: name the blocks whose records boards get, as sgbench study status lists them")
    loaded = load_study(args.name, args.config_dir)
    names = pick_blocks(loaded.study, args.block)
    store = folders_of(args, loaded.name).store
    removed, done = publish(loaded, names, store, args.to, references_of(args))
    if removed:
        print_lines(f"{removed} void records taken off; {store.folder / MANIFEST} says why")
    # What differs and not of which method and seed, so that a reason is said once.
    reasons = Counter(item.reason.partition(" deviates from ")[2] or item.reason for item in done.refused)
    print_lines([f"not taken, {count} records: {reason}" for reason, count in reasons.most_common()])
    print_lines(f"{len(done.added)} added, {len(done.already_there)} already there, {len(done.refused)} not taken")
    print_lines(f"next: sgbench board build --from leaderboards --root {shlex.quote(str(args.to))}")
    return 0 if (done.added or done.already_there) and not done.contradicted else 1


if __name__ == "__main__":
    sys.exit(main())
