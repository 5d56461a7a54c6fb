"""`sgbench export`: a trained network in a form that other simulators and chips read."""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path
from typing import Any

from sgbench.errors import printable


def register(commands: Any) -> None:
    """Add the command `export` to the parser."""
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
    """Build the network of a run, load its weights, and write its graph to a file."""
    from sgbench.exchange.nir_export import nir_module, to_nir
    from sgbench.inspection.stored_run import load_selected, record_of, run_of
    from sgbench.records.files import write_atomic

    nir = nir_module()
    record = record_of(args.run)
    run = run_of(args.run, record, config_dirs=args.config_dir, allow_targets=args.allow_target)
    network = load_selected(run).eval()
    dt_s = record.method.protocol.dt_s if args.dt is None else args.dt
    graph = to_nir(network, dt_s=dt_s, step=args.step, unit_resistance=args.unit_resistance)
    data = io.BytesIO()
    nir.write(data, graph)
    write_atomic(args.nir, data.getvalue())
    summary = {"file": str(args.nir), "nodes": list(graph.nodes), "dt_s": dt_s, "step": args.step}
    if args.json:
        sys.stdout.write(json.dumps(summary, indent=1, sort_keys=True) + "\n")
    else:
        sys.stdout.write(
            printable(
                f"{args.nir}: {len(graph.nodes)} nodes; {args.step} steps of {dt_s:g} s, reset to 0 on firing"
            )
            + "\n"
        )
    return 0
