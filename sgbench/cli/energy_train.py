"""`sgbench energy train`: what a training took."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from sgbench.cli import energy
from sgbench.composition import catalogue
from sgbench.energy.training_cost import TrainingCost, training_cost
from sgbench.errors import InputError
from sgbench.records.record import RunRecord
from sgbench.tables import aligned


def answer(args: argparse.Namespace) -> int:
    """Print the products, seconds and bytes of a record's training."""
    record, _ = energy.read_record(args.record)
    found = training_cost(record, _sizes(record, args))
    if args.json:
        host = [each.model_dump() for each in record.host_energy or ()]
        tree = {"total": found.total, "per_second": found.per_second, "host_energy": host}
        energy.say_json({**asdict(found), **tree})
    else:
        energy.say([*report(found), *_host(record)])
    return 0


def _sizes(record: RunRecord, args: argparse.Namespace) -> dict[str, int]:
    """Samples of each split, as the catalogue states them."""
    name = record.method.choices["dataset"]
    sizes = catalogue.entry("dataset", name, args.config_dir).meta.get("sizes")
    if not isinstance(sizes, dict) or not {"train", "validation"} <= set(sizes):
        raise InputError(f"data set '{name}': its entry does not state meta.sizes")
    return sizes


def report(found: TrainingCost) -> list[str]:
    """A table, and what was measured."""
    rows = [["multiply-accumulates", "of the whole training", "share, %"]]
    for name in ("forward", "weight_gradients", "input_gradients", "validation", "total"):
        number = getattr(found, name)
        share = f"{100 * number / found.total:.1f}" if found.total else "-"
        rows.append([name.replace("_", " "), f"{number:.4g}", share])
    rate = "" if found.per_second is None else f", {found.per_second:.3g} multiply-accumulates a second"
    memory = "not measured" if found.peak_bytes is None else f"{found.peak_bytes / 2**20:.0f} MiB"
    backward = f"{found.adjoint_updates:.4g} updates of neurons backward"
    return [
        *aligned(rows, words=1),
        "",
        f"{found.epochs} epochs of {found.samples} samples, {backward}",
        f"took {found.seconds:.3g} s{rate}; peak memory {memory}",
    ]


def _host(record: RunRecord) -> list[str]:
    """What the host's meters counted, idle power included."""
    if record.host_energy is None:
        return [
            "host energy: not available (no meter that could be read, or not this run alone from its start)"
        ]
    return [
        f"host energy, {each.meter}: {each.fit_j:.4g} J to train, {each.test_j:.4g} J to test, idle included"
        for each in record.host_energy
    ]
