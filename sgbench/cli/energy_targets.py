"""`sgbench energy list`: the targets."""

from __future__ import annotations

import argparse
import textwrap

from sgbench.cli import energy
from sgbench.energy.price import evidence_of
from sgbench.energy.text import NONE, marked, price_pj, scope_of
from sgbench.records.energy import EnergyTarget, Evidence, Price
from sgbench.tables import aligned


def answer(args: argparse.Namespace) -> int:
    """Print the targets."""
    targets = energy.pick([args.name] if args.name else [], args.config_dir)
    if args.json:
        energy.say_json([target.model_dump(mode="json") for target in targets.values()])
        return 0
    if args.name:
        energy.say(details(targets[args.name]))
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


def details(target: EnergyTarget) -> list[str]:
    """Everything that one file says."""
    lines = [f"{target.name}: {target.title}", "", *textwrap.wrap(target.about, 100), ""]
    rows = [["term", "cost", "scope", "basis", "node, nm", "V", "evidence"]]
    rows += [[each.operation, _ends(each), *_evidence(each)] for each in target.prices]
    for memory in target.memories:
        sizes = ", ".join(f"{size.access_pj:g} pJ at {size.size_bytes / 1024:g} KiB" for size in memory.sizes)
        rows += [[name, f"{sizes} a {memory.per}", *_evidence(memory)] for name in memory.operations]
    if target.static is not None:
        static = target.static
        ends = "" if static.low_mw == static.high_mw else f" ({static.low_mw:g} to {static.high_mw:g})"
        rows.append(["static power of a chip", f"{static.value_mw:g}{ends} mW", *_evidence(static)])
    lines += aligned(rows, words=7) if len(rows) > 1 else [str(target.unpriced)]
    lines += ["", *(f"inside another price: {name}" for name in target.included_elsewhere)]
    lines += [f"left out: {each}" for each in target.missing]
    if target.chip is not None:
        limits = target.chip.model_dump(exclude={"source", "mark", "unchecked"}, exclude_none=True)
        lines += [f"chip, {name}: {_plain(value)}" for name, value in limits.items()]
        lines += [f"not checked: {each}" for each in target.chip.unchecked]
        lines.append(f"source of the limits ({target.chip.mark}): {target.chip.source}")
    return [*lines, *dict.fromkeys(f"source ({each.mark}): {each.source}" for each in evidence_of(target))]


def _ends(price: Price) -> str:
    ends = "" if price.low_pj == price.high_pj else f" ({price.low_pj:g} to {price.high_pj:g})"
    return f"{price.value_pj:g}{ends} pJ{f' a {price.per}' if price.per else ''}"


def _evidence(each: Evidence) -> list[str]:
    node, voltage = (NONE if value is None else f"{value:g}" for value in (each.node_nm, each.voltage_v))
    return [each.scope, each.basis, node, voltage, each.mark]


def _plain(value: object) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value)
