"""`sgbench energy list`: the targets."""

from __future__ import annotations

import argparse

from sgbench.cli import energy
from sgbench.cli.columns import aligned
from sgbench.cli.energy_text import NONE, marked, price_pj, scope_of


def answer(args: argparse.Namespace) -> int:
    """Print the targets."""
    targets = energy.pick([], args.config_dir)
    if args.json:
        energy.say_json([target.model_dump(mode="json") for target in targets.values()])
        return 0
    rows = [["target", "what", "scope", "evidence", "event, pJ", "MAC, pJ", "neuron, pJ", "static, mW"]]
    for name, target in targets.items():
        static = NONE if target.static is None else f"{target.static.value_mw:g}"
        prices = [
            price_pj(target, *operations)
            for operations in (
                ("accumulate",),
                ("multiply_accumulate", "dense_operation"),
                ("neuron_update", "neuron_update_with_input"),
            )
        ]
        rows.append([name, target.title, scope_of(target), marked(target), *prices, static])
    energy.say(aligned(rows, words=4))
    for name, target in targets.items():
        if target.unpriced is not None:
            energy.say([f"{name}: {target.unpriced}"])
    return 0
