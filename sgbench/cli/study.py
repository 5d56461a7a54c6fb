"""`sgbench study`: run a pre-registered study block by block, and print its status."""

from __future__ import annotations

import argparse
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.cli.common import answer, print_lines, screen, shared_options
from sgbench.errors import InputError
from sgbench.paths import default_runs_dir
from sgbench.tables import aligned

if TYPE_CHECKING:
    from sgbench.study_runner.definition import Loaded
    from sgbench.study_runner.run import StudyFolders

STORES_FOLDER = Path("study")


def register(commands: Any) -> None:
    top = commands.add_parser("study", help="pre-registered comparisons in blocks: run, status, extend")
    actions = top.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_run(actions)
    showing = actions.add_parser(
        "status", help="what is stored of each block, and what is left", parents=shared_options(classes=False)
    )
    add_common(showing)
    _add_scale(showing)
    showing.set_defaults(handler=show_status)
    extending = actions.add_parser(
        "extend",
        help="write a study of the same blocks on a task of your own, into the first --config-dir",
        parents=shared_options(classes=False, machine=False),
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


def _add_run(actions: Any) -> None:
    running = actions.add_parser(
        "run", help="run what is not stored yet, at low priority, in one process", parents=shared_options(machine=False)
    )
    add_common(running)
    _add_scale(running)
    running.add_argument("--hours", type=float, metavar="H", help="stop at a whole group after so long")
    running.add_argument("--plan", action="store_true", help="print runs and core-hours of each block, and stop")
    running.add_argument("--new-epoch", action="store_true", help="go on with another commit than before")
    running.add_argument("--data-dir", type=Path, metavar="DIR", help="where files of data sets lie")
    running.set_defaults(handler=run_study)


def add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="e.g. surrogates")
    parser.add_argument(
        "--block",
        action="append",
        default=[],
        metavar="NAME",
        help="this one alone, by its number in the status; may be repeated",
    )
    parser.add_argument("--store", type=Path, metavar="DIR", help="shards of records (default: study/NAME)")
    parser.add_argument("--runs-dir", type=Path, metavar="DIR", help="records of unfinished blocks (default: runs)")


def _add_scale(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scale", choices=["small", "full"], default="small", help="full: tasks of standard size, whose files you have"
    )
    parser.add_argument("--task", default="", metavar="NAMES", help="these of --scale full, e.g. shd,ssc")


def _add_extension(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="whose blocks are taken, e.g. surrogates")
    parser.add_argument(
        "overrides", nargs="+", metavar="OVERRIDE", help="of a run, e.g. experiment=mine optimizer.lr=0.01"
    )
    parser.add_argument("--task", required=True, metavar="NAME", help="what the task is called")
    parser.add_argument(
        "--like",
        required=True,
        metavar="NAME",
        help="title of the task with a network like yours, e.g. 'Braille letters, recurrent'",
    )
    parser.add_argument("--title", metavar="TEXT", help="what the task is, for readers (default: its name)")
    parser.add_argument("--run-s", type=float, metavar="S", help="CPU seconds of a run (default: that task's)")
    parser.set_defaults(handler=extend_study)


def run_study(args: argparse.Namespace) -> int:
    """Run the blocks of a study one after another; return 1 if time runs out or a run fails before all are stored.

    With --plan, print the runs and core-hours of each block instead.
    """
    from sgbench.study_runner.definition import block_number, pick_blocks
    from sgbench.study_runner.status import cost_rows

    loaded = _loaded(args)
    names = pick_blocks(loaded.study, args.block)
    folders = folders_of(args, loaded.name)
    if args.plan:
        print_lines(aligned(cost_rows(loaded.study, names), text_columns=2, width=screen(args)))
        return 0
    if args.hours is not None and not args.hours > 0:
        raise InputError(f"--hours {args.hours:g}: a number above 0 is needed")
    from sgbench.study_runner.run import HOUR_S, BlockRun, give_way, only_one, replicas, require_commit
    from sgbench.study_runner.scores import require_committed, require_registered_file
    from sgbench.training.provenance import Code

    code = Code.here()
    require_registered_file(loaded.path)
    epoch = require_commit(folders.store, code, new_epoch=args.new_epoch)
    deadline_s = None if args.hours is None else time.monotonic() + args.hours * HOUR_S
    with only_one(folders.runs_dir, loaded.name):
        give_way()
        for name in names:
            withdrawn = loaded.study.blocks[name].withdrawn
            if withdrawn is not None:
                print_lines(f"block {block_number(loaded.study, name)} is withdrawn, nothing of it is run: {withdrawn}")
                continue
            require_committed(folders.store.folder, loaded.study.blocks[name].needs)
            block = BlockRun(loaded, name, folders, code, replicas(workers=1), print_lines, epoch)
            complete = block.run(deadline_s)
            if not complete:
                print_lines(f"stopped in block {block_number(loaded.study, name)}; the same command goes on")
                return 1
    return 0


def show_status(args: argparse.Namespace) -> int:
    from sgbench.study_runner.definition import pick_blocks
    from sgbench.study_runner.status import block_states

    loaded = _loaded(args)
    folders = folders_of(args, loaded.name)
    states = block_states(loaded.study, pick_blocks(loaded.study, args.block), folders.store)
    rows = [["block", "runs", "stored", "failed", "left, core-h", "tasks", "what it compares"]]
    rows += [state.cells for state in states]
    return answer(args, [state.tree for state in states], aligned(rows, text_columns=2, width=screen(args)))


def extend_study(args: argparse.Namespace) -> int:
    """Write the YAML file of a study with the same blocks on one task of the user, and print the next commands."""
    from sgbench.study_runner.definition import load_study
    from sgbench.study_runner.extension import own_task, write_extension

    if not args.config_dir:
        raise InputError("--config-dir: name the folder of your own entries; the study's file goes there")
    loaded = load_study(args.name, args.config_dir)
    task = own_task(
        loaded.study,
        args.task,
        args.overrides,
        like=args.like,
        title=args.title or args.task,
        run_s=args.run_s,
        config_dirs=args.config_dir,
    )
    path = write_extension(loaded, args.task, task, args.config_dir[0])
    name = path.stem
    where = f"--config-dir {args.config_dir[0]}"
    print_lines(
        [
            f"{path} written. Commit it, then:",
            f"  sgbench study run {name} {where} --plan",
            f"  sgbench study run {name} {where} --hours 1",
        ]
    )
    return 0


def signal_study(args: argparse.Namespace) -> int:
    from sgbench.study_runner.run import send

    send(getattr(signal, args.signal, None), args.runs_dir or default_runs_dir(), args.name)
    return 0


def _loaded(args: argparse.Namespace) -> Loaded:
    """Load a study; with --scale full, its variant on the tasks of standard size."""
    from sgbench.study_runner.definition import load_study
    from sgbench.study_runner.extension import full_scale

    loaded = load_study(args.name, args.config_dir)
    if args.scale == "full":
        return full_scale(loaded, [name for name in args.task.split(",") if name])
    if args.task:
        raise InputError(f"--task {args.task}: goes with --scale full; sgbench study extend adds a task of your own")
    return loaded


def folders_of(args: argparse.Namespace, name: str) -> StudyFolders:
    from sgbench.study_runner.run import StudyFolders
    from sgbench.study_runner.store import Store

    return StudyFolders(
        store=Store(args.store or STORES_FOLDER / name, name),
        runs_dir=args.runs_dir or default_runs_dir(),
        data_dir=getattr(args, "data_dir", None),
        config_dirs=tuple(args.config_dir),
        allow_targets=tuple(getattr(args, "allow_target", ())),
    )
