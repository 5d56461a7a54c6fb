"""`sgbench export`: a trained network in a form that other libraries, simulators and chips read."""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.cli.common import answer, shared_options
from sgbench.errors import InputError, suggest

if TYPE_CHECKING:
    from sgbench.networks.base import Network
    from sgbench.training.stored_run import StoredRun

LIBRARY_READERS = ("snntorch", "spikingjelly", "norse", "sinabs", "nir")
USAGE_HINT = f"--for {'|'.join(LIBRARY_READERS)} or a chip, with --to FILE, is needed; or --nir FILE.nir alone"
NIR_OPTIONS = {"step": "--step", "unit_resistance": "--unit-resistance", "dt": "--dt"}


def register(commands: Any) -> None:
    export = commands.add_parser(
        "export", help="write the network of a run for another library or a chip, or as NIR", parents=shared_options()
    )
    export.add_argument("run", type=Path, metavar="RUN_DIR", help="folder of a finished run, with its record")
    export.add_argument(
        "--for",
        dest="reader",
        metavar="READER",
        help=f"{', '.join(LIBRARY_READERS)}, or a chip whose limits are known, e.g. loihi1, which gets whole numbers",
    )
    export.add_argument(
        "--to", type=Path, metavar="FILE", help="file to write: FILE.py with its weights beside it, .nir, or .npz"
    )
    export.add_argument("--nir", type=Path, metavar="FILE.nir", help="the same as --for nir --to FILE.nir")
    export.add_argument("--step", choices=("euler", "exponential"), help="how a reader of NIR steps; default: euler")
    export.add_argument(
        "--unit-resistance",
        action="store_true",
        default=None,
        help="gains into the weights, R = 1, for readers of NIR that take it for granted, as Norse does",
    )
    export.add_argument("--dt", type=float, metavar="SECONDS", help="time step of NIR; default: the protocol's")
    export.set_defaults(handler=export_command)


def export_command(args: argparse.Namespace) -> int:
    """Answer `sgbench export`: write a run's selected network as NIR, as code for a library, or in whole numbers."""
    from sgbench.training.stored_run import load_selected, read_record, rebuild_run

    reader, path = _reader_and_path(args)
    if reader == "nir":
        from sgbench.exchange.nir_export import nir_module

        nir_module()  # raises an error if the package is missing, before anything is read
    record = read_record(args.run)
    run = rebuild_run(args.run, record, config_dirs=args.config_dir, allow_targets=args.allow_target)
    network = load_selected(run).eval()
    write = _write_code if reader in LIBRARY_READERS else _write_whole_numbers
    summary = (_write_nir if reader == "nir" else write)(args, reader, path, run, network)
    lines = summary.pop("lines")
    return answer(args, summary, lines)


def _reader_and_path(args: argparse.Namespace) -> tuple[str, Path]:
    """Return who is to read the file ("nir", a library or a chip) and its path, by --nir FILE or --for NAME --to FILE.

    Options and names of files that do not fit the reader raise an InputError.
    """
    reader: str | None = args.reader if args.nir is None else "nir"
    path: Path | None = args.to if args.nir is None else args.nir
    has_both_forms = args.nir is not None and (args.reader is not None or args.to is not None)
    if reader is None or path is None or has_both_forms:
        raise InputError(f"export: {USAGE_HINT}")
    if reader == "nir":
        return reader, path
    used = [option for name, option in NIR_OPTIONS.items() if getattr(args, name) is not None]
    if used:
        raise InputError(f"{used[0]}: is of NIR files alone; leave it out with --for {reader}")
    if reader not in LIBRARY_READERS:
        if path.suffix != ".npz":
            raise InputError(f"--to {path}: a file that ends in .npz is needed with --for {reader}")
        _require_chip_name(reader, args.config_dir)
        return reader, path
    if path.suffix != ".py":
        raise InputError(f"--to {path}: a file that ends in .py is needed; the weights go beside it, as .pt")
    return reader, path


def _require_chip_name(name: str, config_dirs: Sequence[Path]) -> None:
    """Refuse a reader that is neither a library nor a chip with known limits."""
    from sgbench.energy.price import load_targets
    from sgbench.exchange.chip_run import find_chip

    known = load_targets(config_dirs, everything=True)
    if name not in known:
        chips = [target.name for target in known.values() if target.chip is not None]
        raise InputError(f"--for {name}: no such reader; {suggest(name, [*LIBRARY_READERS, *chips])}")
    find_chip(name, config_dirs)


def _write_nir(args: argparse.Namespace, _: str, path: Path, run: StoredRun, network: Network) -> dict[str, Any]:
    """Write the network as a NIR graph; return facts for JSON, and "lines" on nodes which other readers skip."""
    from sgbench.exchange.nir_export import nir_module, reader_warnings, to_nir
    from sgbench.records.files import write_atomic

    nir, step = nir_module(), args.step or "euler"
    dt_s = run.spec.method.protocol.dt_s if args.dt is None else args.dt
    graph = to_nir(network, dt_s=dt_s, step=step, unit_resistance=bool(args.unit_resistance))
    data = io.BytesIO()
    nir.write(data, graph)
    write_atomic(path, data.getvalue())
    line = f"{path}: {len(graph.nodes)} nodes; {step} steps of {dt_s:g} s, reset to 0 on firing"
    missed = reader_warnings(graph)
    return {
        "file": str(path),
        "nodes": list(graph.nodes),
        "dt_s": dt_s,
        "step": step,
        "unread": missed,
        "lines": "; ".join([line, *missed]),
    }


def _write_code(_: argparse.Namespace, reader: str, path: Path, run: StoredRun, network: Network) -> dict[str, Any]:
    """Write the network as Python code of a library, with its weights; return facts for JSON, and "lines"."""
    import torch

    from sgbench.composition.catalogue import entry
    from sgbench.exchange.libraries import LIBRARIES
    from sgbench.exchange.library_code import write
    from sgbench.records.files import write_atomic

    method = run.spec.method
    choices = method.choices
    about = [
        f"The network of a run of {method.protocol.name}, seed {run.spec.seed}.",
        "",
        f"Input: encoder={choices['encoder']} of {choices['dataset']}, steps of {method.protocol.dt_s:g} s.",
        f"Answer: loss={choices['loss']}. {entry('loss', choices['loss']).line}",
        "",
    ]
    written = write(network, LIBRARIES[reader], about)
    weights, data = path.with_suffix(".pt"), io.BytesIO()
    torch.save(written.tensors, data)
    write_atomic(weights, data.getvalue())
    write_atomic(path, written.code.encode())
    name = LIBRARIES[reader].name
    return {
        "file": str(path),
        "weights": str(weights),
        "for": reader,
        "layers": [layer.name for layer in network.layers],
        "lines": f"{path} and {weights}: network() of the first is the run's network, in neurons of {name}",
    }


def _write_whole_numbers(
    args: argparse.Namespace, name: str, path: Path, run: StoredRun, network: Network
) -> dict[str, Any]:
    """Write a network in whole numbers for a chip, and say how often it answers like the simulation."""
    import numpy as np

    from sgbench.exchange.chip_run import compare_with_simulation, find_chip, precision_of, require_chip
    from sgbench.exchange.whole_numbers import whole_layers
    from sgbench.records.files import write_atomic

    target = find_chip(name, args.config_dir)
    chip_fit = require_chip(run, target)
    layers = whole_layers(network, name)
    data = io.BytesIO()
    arrays: dict[str, Any] = {key: value for layer in layers for key, value in layer.arrays.items()}
    np.savez_compressed(data, **arrays)
    lines = [f"{path}: {', '.join(layer.name for layer in layers)} in whole numbers, {chip_fit.cores} cores of {name}"]
    found = {"whole_numbers": compare_with_simulation(run, layers)}
    lines.append(f"in whole numbers: {found['whole_numbers']}")
    precision = None if target.chip is None else precision_of(target.chip)
    if precision is not None:
        found["as_fine_as_the_chip"] = compare_with_simulation(run, layers, precision)
        lines.append(f"with decays of {precision.decay_bits} bits, as {name} has: {found['as_fine_as_the_chip']}")
    lines += [f"not checked: {limit}" for limit in chip_fit.unchecked]
    write_atomic(path, data.getvalue())
    return {
        "file": str(path),
        "for": name,
        "layers": [layer.name for layer in layers],
        "cores": chip_fit.cores,
        "agreement": {key: asdict(value) for key, value in found.items()},
        "unchecked": list(chip_fit.unchecked),
        "lines": lines,
    }
