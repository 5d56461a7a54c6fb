"""`sgbench study`: run a pre-registered study block by block, and say where it stands."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.errors import InputError, StorageError, printable
from sgbench.paths import default_runs_dir
from sgbench.tables import aligned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sgbench.records.spec import RunSpec
    from sgbench.study.definition import Loaded
    from sgbench.study.run import Place

STORES = Path("study")
NICENESS = 10
PID_FILE = "study.pid"


def register(commands: Any) -> None:
    """Add `study` and its actions."""
    top = commands.add_parser(
        "study", help="pre-registered comparisons in blocks: run, status, pause, resume"
    )
    actions = top.add_subparsers(title="actions", metavar="ACTION", required=True)
    running = actions.add_parser("run", help="run what is not stored yet, at low priority, in one process")
    _add_common(running)
    running.add_argument("--hours", type=float, metavar="H", help="stop at a whole group after so long")
    running.add_argument(
        "--plan", action="store_true", help="print runs and core-hours of each block, and stop"
    )
    running.add_argument("--new-epoch", action="store_true", help="go on with another commit than before")
    running.add_argument("--data-dir", type=Path, metavar="DIR", help="where files of data sets lie")
    running.add_argument(
        "--allow-target", action="append", default=[], metavar="NAME", help="a class of your own"
    )
    running.set_defaults(handler=run_study)
    telling = actions.add_parser("status", help="what is stored of each block, and what is left")
    _add_common(telling)
    telling.add_argument("--json", action="store_true", help="as JSON")
    telling.set_defaults(handler=tell_status)
    for name, number, what in (
        ("pause", signal.SIGSTOP, "hold a running study, e.g. while something is timed"),
        ("resume", signal.SIGCONT, "let a paused study go on"),
    ):
        acting = actions.add_parser(name, help=what)
        _add_common(acting)
        acting.set_defaults(handler=signal_study, signal=number)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="e.g. surrogates")
    parser.add_argument(
        "--block", action="append", default=[], metavar="NAME", help="this one alone; may be repeated"
    )
    parser.add_argument("--store", type=Path, metavar="DIR", help="shards of records (default: study/NAME)")
    parser.add_argument(
        "--runs-dir", type=Path, metavar="DIR", help="records of unfinished blocks (default: runs)"
    )
    parser.add_argument(
        "--config-dir", action="append", default=[], type=Path, metavar="DIR", help="own entries"
    )


def run_study(args: argparse.Namespace) -> int:
    """Run the blocks one after another; 1 where time ended before they were complete."""
    from sgbench.study.definition import load_study, pick_blocks

    loaded = load_study(args.name, args.config_dir)
    names = pick_blocks(loaded.study, args.block)
    place = _place(args)
    if args.plan:
        _say(aligned(_plan_rows(loaded, names), words=2))
        return 0
    if args.hours is not None and not args.hours > 0:
        raise InputError(f"--hours {args.hours:g}: a number above 0 is needed")
    from sgbench.study.run import HOUR_S, require_commit, run_block
    from sgbench.training.provenance import Code

    epoch = require_commit(place.store, Code.here(), new_epoch=args.new_epoch)
    deadline_s = None if args.hours is None else time.monotonic() + args.hours * HOUR_S
    with _only_one(place.runs_dir):
        os.nice(NICENESS)
        for name in names:
            require_committed(place.store.folder, loaded.study.blocks[name].needs)
            complete = run_block(
                loaded, name, place, runner=_replicas, deadline_s=deadline_s, say=_say_line, epoch=epoch
            )
            if not complete:
                _say_line(f"stopped in block {name}; the same command goes on")
                return 1
    return 0


def _replicas(specs: Sequence[RunSpec]) -> None:
    """Train side by side in one process."""
    from sgbench.replicas.sweep import run_sweep
    from sgbench.sweeps.outcome import headline

    run_sweep(specs, range(len(specs)), workers=1, largest=None, headline=headline)


def require_committed(folder: Path, needs: Sequence[str]) -> None:
    """Refuse to build on a settlement that lies in a repository without being committed.

    Raises:
        InputError: what earlier blocks have settled is not committed as it is.
    """
    from sgbench.study.settle import SETTLED

    path = folder / SETTLED
    if not needs or not path.exists():
        return
    try:
        done = subprocess.run(  # noqa: S603 - fixed words
            ["git", "-C", str(folder), "status", "--porcelain", "--", SETTLED],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return  # in no repository, so there is nothing to commit
    if done.stdout.strip():
        raise InputError(f"{path}: commit it first; the block builds on what {', '.join(needs)} settled")


def tell_status(args: argparse.Namespace) -> int:
    """Print what is stored of each block."""
    from sgbench.study.definition import load_study, pick_blocks
    from sgbench.study.status import block_states

    loaded = load_study(args.name, args.config_dir)
    place = _place(args)
    states = block_states(loaded.study, pick_blocks(loaded.study, args.block), place.store)
    if args.json:
        sys.stdout.write(json.dumps([state.tree for state in states], indent=1) + "\n")
        return 0
    rows = [["block", "tasks", "runs", "stored", "failed", "left, core-h", "what"]]
    rows += [state.cells for state in states]
    _say(aligned(rows, words=2))
    return 0


def signal_study(args: argparse.Namespace) -> int:
    """Stop or continue the processes of a running study."""
    path = (args.runs_dir or default_runs_dir()) / PID_FILE
    try:
        group = int(path.read_text())
        os.killpg(group, args.signal)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no study runs there; name its --runs-dir") from error
    return 0


def _plan_rows(loaded: Loaded, names: Sequence[str]) -> list[list[str]]:
    from sgbench.study.status import block_cost

    rows = [["block", "tasks", "runs", "core-h", "sum", "what"]]
    total_h = 0.0
    for name in names:
        runs, hours = block_cost(loaded.study, name)
        total_h += hours
        block = loaded.study.blocks[name]
        rows.append([name, " ".join(block.tasks), f"{runs:,}", f"{hours:.1f}", f"{total_h:.1f}", block.about])
    return rows


def _place(args: argparse.Namespace) -> Place:
    from sgbench.study.run import Place
    from sgbench.study.store import Store

    return Place(
        store=Store(args.store or STORES / args.name, args.name),
        runs_dir=args.runs_dir or default_runs_dir(),
        data_dir=getattr(args, "data_dir", None),
        config_dirs=tuple(args.config_dir),
        allow_targets=tuple(getattr(args, "allow_target", ())),
    )


@contextmanager
def _only_one(runs_dir: Path) -> Iterator[None]:
    """Be the only study of a runs folder, in a process group of its own that can be paused.

    Raises:
        InputError: another one runs there.
        StorageError: the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        lock = FileLock(runs_dir / ".study.lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise InputError(
            f"{runs_dir}: another study runs there; wait for it or name another --runs-dir"
        ) from None
    except OSError as error:
        raise StorageError(f"{runs_dir} cannot be written: {error.strerror or error}") from error
    path = runs_dir / PID_FILE
    try:
        path.write_text(f"{os.getpgrp()}\n")
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        _say_line(line)


def _say_line(line: str) -> None:
    sys.stdout.write(f"{printable(line)}\n")
    sys.stdout.flush()
