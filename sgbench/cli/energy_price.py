"""`sgbench energy price`: one record on every target."""

from __future__ import annotations

import argparse

from sgbench.cli import energy
from sgbench.cli.columns import aligned
from sgbench.cli.energy_text import estimate_tree, joules_interval
from sgbench.energy.price import EnergyEstimate, price


def answer(args: argparse.Namespace) -> int:
    """Print, and draw, what one record costs on each target."""
    record, counts = energy.read_record(args.record)
    targets = energy.pick(args.target, args.config_dir)
    dt_s = record.method.protocol.dt_s
    found = [price(counts, target=target, dt_s=dt_s) for target in targets.values()]
    if args.plot is not None:
        from sgbench.cli.energy_terms import draw

        draw(found, args.plot, title=f"{record.method.choices['dataset']}, {record.method_id}")
    if args.json:
        energy.say_json([estimate_tree(estimate) for estimate in found])
        return 0
    rows = [["target", "evidence", "dynamic energy an inference", "static"]]
    for estimate in found:
        part = " *" if estimate.missing and estimate.dynamic_nj is not None else ""
        rows.append(
            [
                estimate.target,
                estimate.mark or "-",
                joules_interval(estimate.dynamic_nj) + part,
                joules_interval(estimate.static_nj),
            ]
        )
    energy.say(aligned(rows, words=4))
    energy.say(["*: a part; sgbench energy explain names what it leaves out", *_reasons(found)])
    return 0


def _reasons(found: list[EnergyEstimate]) -> list[str]:
    return [f"{each.target}: no total: {'; '.join(each.reasons)}" for each in found if each.reasons]
