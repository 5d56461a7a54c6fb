"""`sgbench sync`: fill a logger from the records of runs."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sgbench.errors import InputError, SgbenchError, one_printable_line

LOGGERS = ("csv", "tensorboard", "wandb", "mlflow")
EPILOG = """examples:
  sgbench sync runs/digits_v1 --to tensorboard   # for tensorboard --logdir
  sgbench sync runs --to wandb --project mine    # uploads what ran without it
  sgbench sync runs --to wandb --mode offline    # writes files for wandb sync
  sgbench sync runs --to wandb --table mine      # the boards of these runs"""


def register(commands: Any) -> None:
    parser = commands.add_parser(
        "sync",
        help="fill TensorBoard, W&B, MLflow or CSV logs from records of runs",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, metavar="DIR", help="a runs folder, or one inside it")
    parser.add_argument("--to", choices=LOGGERS, required=True, help="which logger")
    parser.add_argument("--project", default="sgbench", help="at Weights & Biases (default: sgbench)")
    parser.add_argument(
        "--mode", choices=("online", "offline"), help="of wandb (default: $WANDB_MODE where it is set, else online)"
    )
    parser.add_argument("--group", metavar="NAME", help="of wandb (default: the protocol)")
    parser.add_argument("--artifacts", action="store_true", help="wandb or MLflow gets record, weights and predictions")
    parser.add_argument(
        "--table",
        metavar="NAME",
        help="wandb gets all runs and their boards as tables, in a run of this name, and nothing else",
    )
    parser.set_defaults(handler=sync)


def sync(args: argparse.Namespace) -> int:
    """Answer `sgbench sync`: copy each record to the logger; what fails is named and the rest goes on."""
    from sgbench.paths import RECORD
    from sgbench.records.files import read_model
    from sgbench.records.record import RunRecord

    args.mode = args.mode or _mode_of_environment()
    if not args.source.is_dir():
        raise InputError(f"{args.source}: no such folder; name a runs folder, or one inside it")
    paths = sorted(path for path in args.source.rglob(RECORD) if not path.is_symlink())
    if not paths:
        raise InputError(f"{args.source}: holds no record; fill it with sgbench run")
    from sgbench.training.log_sync import sync as copy
    from sgbench.training.loggers import require_account, require_server

    if args.to == "wandb" and args.mode == "online":
        require_account("--mode offline")
        require_server()
    if args.table is not None:
        return _send_table(args, paths)
    failed = 0
    for path in paths:
        try:
            copy(
                read_model(path, RunRecord),
                path.parent,
                args.to,
                group=args.group,
                project=args.project,
                mode=args.mode,
                artifacts=args.artifacts,
            )
        except (SgbenchError, OSError) as error:
            failed += 1
            sys.stderr.write(f"sgbench: left out: {one_printable_line(error)}\n")
    sys.stdout.write(f"{len(paths) - failed} of {len(paths)} runs copied to {args.to}\n")
    return 1 if failed else 0


def _mode_of_environment() -> str:
    """Return the mode that Weights & Biases takes from its variable; "disabled" would copy nothing."""
    mode = os.environ.get("WANDB_MODE") or "online"
    if mode not in ("online", "offline"):
        raise InputError(f"WANDB_MODE={mode}: nothing would be copied; unset it, or give --mode online or offline")
    return mode


def _send_table(args: argparse.Namespace, paths: Sequence[Path]) -> int:
    """Send finished runs and their boards to W&B as tables; an InputError for another logger, or without any."""
    import json

    from sgbench.leaderboard.board import show
    from sgbench.leaderboard.deviation import References
    from sgbench.leaderboard.pages.table import to_json
    from sgbench.leaderboard.store.tree import RecordTree
    from sgbench.records.files import read_model
    from sgbench.records.record import RunRecord
    from sgbench.training.log_sync import send_table

    if args.to != "wandb":
        raise InputError(f"--table {args.table}: is for --to wandb")
    records = [read_model(path, RunRecord) for path in paths]
    finished = [record for record in records if record.status == "finished"]
    if not finished:
        raise InputError(f"{args.source}: no run has finished; wait for one")
    root, protocols = paths[0].absolute().parents[3], {record.protocol for record in finished}
    tree = RecordTree(root, "runs", References(), protocols.pop() if len(protocols) == 1 else None)
    boards = {board.protocol.name: json.loads(to_json(board)) for board in show(tree).boards}
    send_table(finished, args.source, group=args.table, project=args.project, mode=args.mode, boards=boards)
    sys.stdout.write(f"{len(finished)} runs and {len(boards)} boards sent as tables to {args.table}\n")
    return 0
