"""`sgbench energy`: prices of targets, and what a network costs on them."""

from __future__ import annotations

import argparse
import functools
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.cli.common import shared_options
from sgbench.errors import InputError
from sgbench.paths import RECORD

if TYPE_CHECKING:
    from sgbench.records.counts import OpCounts
    from sgbench.records.record import RunRecord


def register(commands: Any) -> None:
    energy = commands.add_parser("energy", help="what a network costs on a chip, term by term, with its doubts")
    actions = energy.add_subparsers(title="actions", metavar="ACTION", required=True)
    plain = shared_options(classes=False)
    listing = actions.add_parser("list", help="the targets: scope, prices and evidence; or all of one", parents=plain)
    listing.add_argument("name", nargs="?", metavar="TARGET", help="its prices, limits, gaps and sources")
    _set_handler(listing, "energy_price", "answer_list")
    pricing = actions.add_parser(
        "price",
        help="one record on every target, or on some",
        parents=shared_options(classes=False, picture="terms of every layer on every target"),
    )
    _add_record(pricing)
    _add_targets(pricing)
    _set_handler(pricing, "energy_price", "answer_price")
    explaining = actions.add_parser("explain", help="the sum of one record on one target, term by term", parents=plain)
    _add_record(explaining)
    explaining.add_argument("--target", required=True, metavar="NAME")
    _set_handler(explaining, "energy_price", "answer_explain")
    fitting = actions.add_parser(
        "fit", help="whether a record's network fits a chip, and on how many cores", parents=plain
    )
    _add_record(fitting)
    fitting.add_argument("--target", required=True, metavar="NAME")
    _set_handler(fitting, "energy_price", "answer_fit")
    _register_other_actions(actions)


def _register_other_actions(actions: Any) -> None:
    plain = shared_options(classes=False)
    ranking = actions.add_parser(
        "rank",
        help="methods beside networks without spikes; how stable their order is",
        parents=shared_options(classes=False, picture="accuracy against energy, with the front"),
    )
    ranking.add_argument("sources", nargs="+", type=Path, metavar="DIR", help="records, or folders that hold some")
    _add_targets(ranking)
    _set_handler(ranking, "energy_rank", "answer_rank")
    validating = actions.add_parser(
        "validate",
        help="published measurements against what the prices predict",
        parents=shared_options(classes=False, picture="each prediction as a share of what was measured"),
    )
    validating.add_argument("--markdown", action="store_true", help="the table in Markdown")
    validating.add_argument("--update", type=Path, metavar="FILE.md", help="put it between its markers in a document")
    _set_handler(validating, "energy_measure", "answer_validate")
    deciding = actions.add_parser(
        "decide", help="accuracy and energy of a run's answers before the end", parents=shared_options()
    )
    deciding.add_argument(
        "overrides",
        nargs="+",
        metavar="RUN",
        help="folder of a finished run, or the overrides of sgbench run that made it",
    )
    deciding.add_argument("--target", default="horowitz_45nm", metavar="NAME", help="default: horowitz_45nm")
    deciding.add_argument(
        "--confidence", action="append", type=float, metavar="P", help="answer when this sure; may be repeated"
    )
    _set_handler(deciding, "energy_measure", "answer_decide")
    training = actions.add_parser(
        "train", help="what a record's training took: products, seconds, peak memory", parents=plain
    )
    _add_record(training)
    _set_handler(training, "energy_measure", "answer_train")
    metering = actions.add_parser("meter", help="what the host's own meters say while a command runs", parents=plain)
    metering.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="none lists the meters")
    metering.add_argument("--idle", type=float, default=5.0, metavar="S", help="seconds to measure the idle level")
    _set_handler(metering, "energy_measure", "answer_meter")


def _add_record(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("record", type=Path, metavar="RECORD", help=f"a {RECORD}, or the folder of a run")


def _add_targets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", action="append", default=[], metavar="NAME", help="this one alone; may be repeated")


def _set_handler(parser: argparse.ArgumentParser, module: str, name: str) -> None:
    parser.set_defaults(handler=functools.partial(_call_handler, module, name))


def _call_handler(module: str, name: str, args: argparse.Namespace) -> int:
    return getattr(importlib.import_module(f"sgbench.cli.{module}"), name)(args)


def read_record(path: Path) -> tuple[RunRecord, OpCounts]:
    """Read a run's record with its operation counts, from its folder or its file."""
    from sgbench.records.files import read_model
    from sgbench.records.record import RunRecord

    if path.is_dir() and not (path / RECORD).exists():
        raise InputError(f"{path}: holds no {RECORD}; name the folder of one run, or a record")
    if not path.exists():
        raise InputError(f"{path}: no such file; name the folder of one run, or its {RECORD}")
    record = read_model(path / RECORD if path.is_dir() else path, RunRecord)
    if record.counts is None:
        raise InputError(f"{path}: a {record.status} run without operation counts; nothing to price")
    return record, record.counts
