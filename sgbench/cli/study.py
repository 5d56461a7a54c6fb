"""`sgbench study`: run a pre-registered study block by block, say where it stands, and report it."""

from __future__ import annotations

import argparse
import shlex
import signal
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.cli.common import answer, say, shared
from sgbench.errors import InputError
from sgbench.paths import default_runs_dir
from sgbench.tables import aligned

if TYPE_CHECKING:
    from sgbench.study.analysis import Analysis
    from sgbench.study.definition import Loaded
    from sgbench.study.run import StudyFolders

STORES = Path("study")
REPORTS = Path("docs") / "study"
LEADERBOARDS = Path("leaderboards")


def register(commands: Any) -> None:
    """Add the command `study` and its actions to the parser."""
    top = commands.add_parser(
        "study", help="pre-registered comparisons in blocks: run, status, report, publish"
    )
    actions = top.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_run(actions)
    _add_telling(actions)
    publishing = actions.add_parser(
        "publish", help="add the records of blocks that report to boards", parents=shared(machine=False)
    )
    _add_common(publishing)
    publishing.add_argument(
        "--to", type=Path, default=LEADERBOARDS, metavar="DIR", help="default: leaderboards"
    )
    publishing.set_defaults(handler=publish_study)
    extending = actions.add_parser(
        "extend",
        help="write a study of the same blocks on a task of your own, into the first --config-dir",
        parents=shared(classes=False, machine=False),
    )
    _add_extension(extending)
    for name, number, what in (
        ("pause", "SIGTSTP", "hold a running study, e.g. while something is timed"),
        ("resume", "SIGCONT", "let a paused study go on"),
    ):
        acting = actions.add_parser(name, help=what)
        acting.add_argument("name", metavar="NAME", help="e.g. surrogates")
        acting.add_argument("--runs-dir", type=Path, metavar="DIR", help="where it runs (default: runs)")
        acting.set_defaults(handler=signal_study, signal=number)


def _add_telling(actions: Any) -> None:
    """Add the actions that tell what is stored and what it says: `status`, `report`, `measure` and `plan`."""
    telling = actions.add_parser(
        "status", help="what is stored of each block, and what is left", parents=shared(classes=False)
    )
    _add_common(telling)
    _add_scale(telling)
    telling.set_defaults(handler=tell_status)
    reporting = actions.add_parser(
        "report",
        help="write verdicts, figures and tables from the store alone",
        parents=shared(classes=False, machine=False),
    )
    _add_common(reporting)
    reporting.add_argument(
        "--to", type=Path, default=REPORTS, metavar="DIR", help="folder of the pages (default: docs/study)"
    )
    reporting.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 and name the pages that are stale"
    )
    reporting.add_argument(
        "--unverified", action="store_true", help="go on outside of a checkout; every page says so"
    )
    reporting.set_defaults(handler=report_study)
    measuring = actions.add_parser(
        "measure",
        help="how each task's network starts, before training, for sgbench recommend",
        parents=shared(classes=False, machine=False),
    )
    _add_common(measuring)
    measuring.add_argument("--data-dir", type=Path, metavar="DIR", help="where files of data sets lie")
    measuring.add_argument(
        "--gradients",
        action="store_true",
        help="gradients and potentials of every cell of the map instead, for the report; minutes",
    )
    measuring.set_defaults(handler=measure_study)
    planning = actions.add_parser(
        "plan", help="what would decide each open claim: runs, cost and chance", parents=shared(classes=False)
    )
    _add_common(planning)
    planning.set_defaults(handler=plan_study)


def _add_run(actions: Any) -> None:
    """Add the action `run` with its options."""
    running = actions.add_parser(
        "run",
        help="run what is not stored yet, at low priority, in one process",
        parents=shared(machine=False),
    )
    _add_common(running)
    _add_scale(running)
    running.add_argument("--hours", type=float, metavar="H", help="stop at a whole group after so long")
    running.add_argument(
        "--plan", action="store_true", help="print runs and core-hours of each block, and stop"
    )
    running.add_argument("--new-epoch", action="store_true", help="go on with another commit than before")
    running.add_argument("--data-dir", type=Path, metavar="DIR", help="where files of data sets lie")
    running.set_defaults(handler=run_study)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="e.g. surrogates")
    parser.add_argument(
        "--block",
        action="append",
        default=[],
        metavar="NAME",
        help="this one alone, by its number in the status; may be repeated",
    )
    parser.add_argument("--store", type=Path, metavar="DIR", help="shards of records (default: study/NAME)")
    parser.add_argument(
        "--runs-dir", type=Path, metavar="DIR", help="records of unfinished blocks (default: runs)"
    )


def _add_scale(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scale",
        choices=["small", "full"],
        default="small",
        help="full: tasks of standard size, whose files you have",
    )
    parser.add_argument("--task", default="", metavar="NAMES", help="these of --scale full, e.g. shd,ssc")


def _add_extension(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="whose blocks are taken, e.g. surrogates")
    parser.add_argument(
        "words", nargs="+", metavar="WORD", help="of a run, e.g. experiment=mine optimizer.lr=0.01"
    )
    parser.add_argument("--task", required=True, metavar="NAME", help="what the task is called")
    parser.add_argument(
        "--like",
        required=True,
        metavar="NAME",
        help="title of the task with a network like yours, e.g. 'Braille letters, recurrent'",
    )
    parser.add_argument("--title", metavar="TEXT", help="what the task is, for readers (default: its name)")
    parser.add_argument(
        "--run-s", type=float, metavar="S", help="CPU seconds of a run (default: that task's)"
    )
    parser.set_defaults(handler=extend_study)


def run_study(args: argparse.Namespace) -> int:
    """Run blocks one after another; return 1 where time ended or runs failed before all were complete."""
    from sgbench.study.definition import block_number, pick_blocks
    from sgbench.study.status import cost_rows

    loaded = _loaded(args)
    names = pick_blocks(loaded.study, args.block)
    place = _folders(args, loaded.name)
    if args.plan:
        say(aligned(cost_rows(loaded.study, names), words=2))
        return 0
    if args.hours is not None and not args.hours > 0:
        raise InputError(f"--hours {args.hours:g}: a number above 0 is needed")
    from sgbench.study.process import give_way, only_one, side_by_side
    from sgbench.study.registration import require_committed, require_registered_file
    from sgbench.study.run import HOUR_S, require_commit, run_block
    from sgbench.training.provenance import Code

    code = Code.here()
    require_registered_file(loaded.path)
    epoch = require_commit(place.store, code, new_epoch=args.new_epoch)
    deadline_s = None if args.hours is None else time.monotonic() + args.hours * HOUR_S
    with only_one(place.runs_dir, loaded.name):
        give_way()
        for name in names:
            withdrawn = loaded.study.blocks[name].withdrawn
            if withdrawn is not None:
                say(
                    f"block {block_number(loaded.study, name)} is withdrawn, nothing of it is run: {withdrawn}"
                )
                continue
            require_committed(place.store.folder, loaded.study.blocks[name].needs)
            complete = run_block(
                *(loaded, name, place),
                code=code,
                runner=side_by_side,
                deadline_s=deadline_s,
                say=say,
                epoch=epoch,
            )
            if not complete:
                say(f"stopped in block {block_number(loaded.study, name)}; the same command goes on")
                return 1
    return 0


def tell_status(args: argparse.Namespace) -> int:
    """Print how much of each block is stored."""
    from sgbench.study.definition import pick_blocks
    from sgbench.study.status import block_states

    loaded = _loaded(args)
    place = _folders(args, loaded.name)
    states = block_states(loaded.study, pick_blocks(loaded.study, args.block), place.store)
    rows = [["block", "runs", "stored", "failed", "left, core-h", "tasks", "what it compares"]]
    rows += [state.cells for state in states]
    return answer(args, [state.tree for state in states], aligned(rows, words=2))


def report_study(args: argparse.Namespace) -> int:
    """Write the pages of a study's report, or check them; return 1 where some are stale."""
    from sgbench.study.definition import load_study
    from sgbench.study.registration import Checkout, checkout_root
    from sgbench.study.report import make_report, own_checkout

    loaded = load_study(args.name, args.config_dir)
    checkout = None if args.unverified else Checkout.around(Path.cwd(), loaded.study.registration)
    if checkout is None and not args.unverified:
        raise InputError(
            f"a report compares each record's commit with that of {loaded.study.registration}, and this is no "
            "checkout that holds it; run inside one, or go on with --unverified"
        )
    store = _folders(args, loaded.name).store
    root = checkout_root(Path.cwd())
    report = make_report(loaded, store, checkout=checkout, root=root)
    own = own_checkout(root, store)
    if args.check:
        stale = report.all_stale(args.to, store.folder, own)
        say([f"{path} is stale; write it with sgbench study report {args.name}" for path in stale])
        return 1 if stale else 0
    written = report.write(args.to)
    say([f"{store.folder / name} written anew" for name in report.write_beside(store.folder)])
    say([f"{name} has its passage anew" for name in report.write_passages(own)])
    say(f"{len(written)} files written in {args.to}, {len(report.pages)} pages in all")
    return 0


def plan_study(args: argparse.Namespace) -> int:
    """Print for every open claim the runs that would decide it, their cost and their chance."""
    from dataclasses import asdict

    from sgbench.study.plan import HEADER
    from sgbench.study.report import gather

    loaded, analysis = _analysed(args)
    lines = list(analysis.function("plan")(gather(loaded, _folders(args, loaded.name).store, checkout=None)))
    text = aligned([HEADER, *(line.cells for line in lines)], words=1) if lines else ["no claim is open"]
    return answer(args, [asdict(line) for line in lines], text)


def _analysed(args: argparse.Namespace) -> tuple[Loaded, Analysis]:
    """Load a study with its analysis, which lies in the checkout around."""
    from sgbench.study.analysis import FILE, STUDIES, find_analysis
    from sgbench.study.definition import load_study
    from sgbench.study.registration import checkout_root

    loaded = load_study(args.name, args.config_dir)
    analysis = find_analysis(loaded, checkout_root(Path.cwd()))
    if analysis is None:
        raise InputError(
            f"study {loaded.name}: its analysis is not here; run inside a checkout that has "
            f"{STUDIES}/{loaded.name}/{FILE}"
        )
    return loaded, analysis


def measure_study(args: argparse.Namespace) -> int:
    """Measure a study's networks before training, as its analysis does, and store it beside the records."""
    loaded, analysis = _analysed(args)
    measured = analysis.function("measure")
    for line in measured(loaded, _folders(args, loaded.name), gradients=args.gradients):
        say(line)
    return 0


def publish_study(args: argparse.Namespace) -> int:
    """Add the records of a study's blocks to boards, and say what these do not take."""
    from sgbench.cli.common import references_of
    from sgbench.study.definition import load_study, pick_blocks
    from sgbench.study.publish import publish
    from sgbench.study.store import MANIFEST

    if not args.block:
        raise InputError(
            "--block: name the blocks whose records boards get, as sgbench study status lists them"
        )
    loaded = load_study(args.name, args.config_dir)
    names = pick_blocks(loaded.study, args.block)
    store = _folders(args, loaded.name).store
    removed, done = publish(loaded, names, store, args.to, references_of(args))
    if removed:
        say(f"{removed} void records taken off; {store.folder / MANIFEST} says why")
    # What differs and not of which method and seed, so that a reason is said once.
    reasons = Counter(item.reason.partition(" deviates from ")[2] or item.reason for item in done.refused)
    say([f"not taken, {count} records: {reason}" for reason, count in reasons.most_common()])
    say(f"{len(done.added)} added, {len(done.already_there)} already there, {len(done.refused)} not taken")
    say(f"next: sgbench board build --from leaderboards --root {shlex.quote(str(args.to))}")
    return 0 if (done.added or done.already_there) and not done.contradicted else 1


def extend_study(args: argparse.Namespace) -> int:
    """Write the file of a study of one task of the user's own."""
    from sgbench.study.definition import load_study
    from sgbench.study.extension import own_task, write_extension

    if not args.config_dir:
        raise InputError("--config-dir: name the folder of your own entries; the study's file goes there")
    loaded = load_study(args.name, args.config_dir)
    task = own_task(
        loaded.study,
        args.task,
        args.words,
        like=args.like,
        title=args.title or args.task,
        run_s=args.run_s,
        config_dirs=args.config_dir,
    )
    path = write_extension(loaded, args.task, task, args.config_dir[0])
    name = path.stem
    where = f"--config-dir {args.config_dir[0]}"
    say(
        [
            f"{path} written. Commit it, then:",
            f"  sgbench study run {name} {where} --plan",
            f"  sgbench study run {name} {where} --hours 1",
        ]
    )
    return 0


def signal_study(args: argparse.Namespace) -> int:
    """Stop or continue the processes of a running study, and no others."""
    from sgbench.study.process import send

    send(getattr(signal, args.signal, None), args.runs_dir or default_runs_dir(), args.name)
    return 0


def _loaded(args: argparse.Namespace) -> Loaded:
    """Load the study, or the one on the tasks of standard size that its file names."""
    from sgbench.study.definition import load_study
    from sgbench.study.extension import full_scale

    loaded = load_study(args.name, args.config_dir)
    if args.scale == "full":
        return full_scale(loaded, [name for name in args.task.split(",") if name])
    if args.task:
        raise InputError(
            f"--task {args.task}: goes with --scale full; sgbench study extend adds a task of your own"
        )
    return loaded


def _folders(args: argparse.Namespace, name: str) -> StudyFolders:
    """Collect where a study keeps its records, and what its runs may import."""
    from sgbench.study.run import StudyFolders
    from sgbench.study.store import Store

    return StudyFolders(
        store=Store(args.store or STORES / name, name),
        runs_dir=args.runs_dir or default_runs_dir(),
        data_dir=getattr(args, "data_dir", None),
        config_dirs=tuple(args.config_dir),
        allow_targets=tuple(getattr(args, "allow_target", ())),
    )
