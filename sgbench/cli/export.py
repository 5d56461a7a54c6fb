"""`sgbench export`: a trained network in a form that other simulators and chips read."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.errors import InputError, one_printable_line, printable
from sgbench.paths import RECORD

if TYPE_CHECKING:
    from sgbench.networks.base import Network
    from sgbench.records.record import RunRecord

WEIGHTS = "weights.safetensors"


def register(commands: Any) -> None:
    """Add the subcommand."""
    export = commands.add_parser("export", help="write the network of a run as a NIR file")
    export.add_argument("run", type=Path, metavar="RUN_DIR", help="folder of a finished run, with its record")
    export.add_argument("--nir", type=Path, required=True, metavar="FILE.nir", help="file to write")
    export.add_argument(
        "--step",
        choices=("euler", "exponential"),
        default="euler",
        help="how its reader steps; default: euler",
    )
    export.add_argument(
        "--unit-resistance",
        action="store_true",
        help="gains into the weights, R = 1, for readers that take it for granted, as Norse does",
    )
    export.add_argument("--dt", type=float, metavar="SECONDS", help="time step; default: the protocol's")
    export.add_argument(
        "--config-dir", action="append", default=[], type=Path, metavar="DIR", help="entries of your own"
    )
    export.add_argument(
        "--allow-target", action="append", default=[], metavar="NAME", help="a class of your own to import"
    )
    export.add_argument("--json", action="store_true", help="one JSON object on standard output")
    export.set_defaults(handler=export_command)


def export_command(args: argparse.Namespace) -> int:
    """Build the network again, load its weights, write its graph."""
    from sgbench.exchange.nir_export import nir_module, to_nir
    from sgbench.records.files import read_model, write_atomic
    from sgbench.records.record import RunRecord

    nir = nir_module()
    record = read_model(args.run / RECORD, RunRecord)
    network = _network(args, record)
    dt_s = record.method.protocol.dt_s if args.dt is None else args.dt
    graph = to_nir(network, dt_s=dt_s, step=args.step, unit_resistance=args.unit_resistance)
    data = io.BytesIO()
    nir.write(data, graph)
    write_atomic(args.nir, data.getvalue())
    told = {"file": str(args.nir), "nodes": list(graph.nodes), "dt_s": dt_s, "step": args.step}
    if args.json:
        sys.stdout.write(json.dumps(told, indent=1, sort_keys=True) + "\n")
    else:
        sys.stdout.write(
            printable(
                f"{args.nir}: {len(graph.nodes)} nodes; {args.step} steps of {dt_s:g} s, reset to 0 on firing"
            )
            + "\n"
        )
    return 0


def _network(args: argparse.Namespace, record: RunRecord) -> Network:
    """The network of a record with the weights beside it."""
    from safetensors.torch import load

    from sgbench.composition.compose import compose
    from sgbench.records.spec import choice_words
    from sgbench.training.build import build

    method = record.method
    words = [f"protocol={method.protocol.name}", f"seed={record.seed}", "trainer.device=cpu"]
    words += choice_words(method.choices)
    spec = compose(words, config_dirs=args.config_dir, allow_targets=args.allow_target)
    network = build(spec.model_copy(update={"method": method})).network
    path = args.run / WEIGHTS
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror or error}; the weights of a finished run lie there"
        ) from error
    if hashlib.sha256(data).hexdigest() != record.weights_sha256:
        raise InputError(f"{path}: not the weights that the record names")
    try:
        network.load_state_dict(load(data))
    except Exception as error:
        raise InputError(f"{path}: {one_printable_line(error)}") from error
    return network.eval()
