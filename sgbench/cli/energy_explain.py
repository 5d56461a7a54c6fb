"""`sgbench energy explain`: the sum of one record on one target, term by term."""

from __future__ import annotations

import argparse

from sgbench.cli import energy
from sgbench.energy.price import EnergyEstimate, evidence_of, price
from sgbench.energy.text import estimate_tree, joules_interval, price_words
from sgbench.records.energy import EnergyTarget
from sgbench.tables import aligned


def answer(args: argparse.Namespace) -> int:
    """Print the sum of one record on one target."""
    record, counts = energy.read_record(args.record)
    (target,) = energy.pick([args.target], args.config_dir).values()
    estimate = price(counts, target=target, dt_s=record.method.protocol.dt_s)
    if args.json:
        energy.say_json(estimate_tree(estimate))
        return 0
    energy.say(explanation(estimate, target))
    return 0


def explanation(estimate: EnergyEstimate, target: EnergyTarget) -> list[str]:
    """The sum, term by term, with what it leaves out and where the numbers come from."""
    rows = [["layer", "operation", "an inference", "each", "energy"]]
    rows += [
        [
            term.layer or "",
            term.operation,
            f"{term.count_per_inference:,.6g}",
            price_words(term),
            joules_interval(term.energy_nj),
        ]
        for term in estimate.by_layer
        if term.count_per_inference
    ]
    lines = [f"{target.name}: {target.title}", "", *aligned(rows, words=2), ""]
    lines.append(f"dynamic: {joules_interval(estimate.dynamic_nj)}")
    if estimate.static_nj is not None:
        time = f"{estimate.latency_s:.3g} s an inference"
        lines.append(f"static: {joules_interval(estimate.static_nj)}, for {time}")
    lines += [f"no total: {reason}" for reason in estimate.reasons]
    lines += [f"assumed: {each}" for each in estimate.assumptions]
    lines += [f"left out: {each}" for each in estimate.missing]
    sources = dict.fromkeys(
        f"source ({each.mark}, {each.scope}): {each.source}" for each in evidence_of(target)
    )
    return [*lines, *sources]
