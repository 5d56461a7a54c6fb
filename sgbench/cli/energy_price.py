"""`sgbench energy price`: one record on every target."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from sgbench.cli import energy
from sgbench.energy.footprint import Mean, footprint
from sgbench.energy.price import EnergyEstimate, price
from sgbench.energy.text import NONE, estimate_tree, joules_interval, marked
from sgbench.records.counts import OpCounts
from sgbench.records.record import RunRecord
from sgbench.tables import aligned


def answer(args: argparse.Namespace) -> int:
    """Print, and draw, what one record costs on each target."""
    record, counts = energy.read_record(args.record)
    targets = energy.pick(args.target, args.config_dir)
    dt_s = record.method.protocol.dt_s
    found = [price(counts, target=target, dt_s=dt_s) for target in targets.values()]
    if args.plot is not None:
        from sgbench.plots.energy_terms import draw

        draw(found, args.plot, title=f"{record.method.choices['dataset']}, {record.method_id}")
    if args.json:
        targets_tree = [estimate_tree(estimate) for estimate in found]
        energy.say_json({"footprint": asdict(footprint(counts)), "targets": targets_tree})
        return 0
    energy.say([*about(counts), training(record), ""])
    rows = [["target", "evidence", "dynamic energy an inference", "static"]]
    for estimate in found:
        part = " *" if estimate.missing and estimate.dynamic_nj is not None else ""
        rows.append(
            [
                estimate.target,
                estimate.mark or (NONE if estimate.static_nj is None else marked(targets[estimate.target])),
                joules_interval(estimate.dynamic_nj) + part,
                joules_interval(estimate.static_nj),
            ]
        )
    energy.say(aligned(rows, words=4))
    energy.say(["*: a part; sgbench energy explain names what it leaves out", *_reasons(found)])
    return 0


def _reasons(found: list[EnergyEstimate]) -> list[str]:
    return [f"{each.target}: no total: {'; '.join(each.reasons)}" for each in found if each.reasons]


def about(counts: OpCounts) -> list[str]:
    """What the network takes up and how busy it is, before any price."""
    found = footprint(counts)
    lines = [
        f"a sample: {_mean(found.spikes_sent)} spikes, {_mean(found.synaptic_operations)} synaptic operations; "
        f"{100 * found.activation_sparsity:.3g} % of connections times steps go unused"
    ]
    if found.weights is not None:
        sizes = ", ".join(f"{size:,.0f} B at {bits} bits" for bits, size in found.bytes_by_bits.items())
        zeros = (
            ""
            if found.connection_sparsity is None
            else f", {100 * found.connection_sparsity:.3g} % of them 0"
        )
        lines.append(
            f"memory: {found.weights:,} weights{zeros}, {found.state_words:,.0f} words of state: {sizes}"
        )
    return lines


def training(record: RunRecord) -> str:
    """What the record says of its making."""
    memory = record.peak_memory_bytes
    peak = "not measured" if memory is None else f"{memory / 2**20:,.0f} MiB"
    took = f"{record.timing.fit_s:.3g} s, {len(record.curve)} epochs"
    return f"training: {took}, peak memory {peak}; its operations are not counted"


def _mean(mean: Mean) -> str:
    return f"{mean.value:,.4g}" if mean.half is None else f"{mean.value:,.4g} +- {mean.half:,.2g}"
