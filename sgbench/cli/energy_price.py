"""`sgbench energy list | price | explain | fit`: the targets, and what one record costs on them."""

import argparse
import textwrap
from dataclasses import asdict

from sgbench.cli import energy
from sgbench.cli.common import answer, print_json, print_lines, screen
from sgbench.energy.fit import ChipFit, fit
from sgbench.energy.footprint import Mean, footprint
from sgbench.energy.price import EnergyEstimate, chosen_targets, evidence_of, price
from sgbench.energy.priced import PricedNetwork
from sgbench.energy.text import NONE, estimate_tree, joules_interval, marked, price_pj, price_words, scope_of
from sgbench.records.counts import OpCounts
from sgbench.records.energy import EnergyTarget, Evidence, Price
from sgbench.records.record import RunRecord
from sgbench.tables import aligned
from sgbench.tables.shown import table_lines


def answer_list(args: argparse.Namespace) -> int:
    """Answer `sgbench energy list`: all targets in a table, or everything about one."""
    targets = chosen_targets([args.name] if args.name else [], args.config_dir)
    if args.json:
        print_json([target.model_dump(mode="json") for target in targets.values()])
        return 0
    if args.name:
        print_lines(target_details(targets[args.name], screen(args)))
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
    print_lines(aligned(rows, text_columns=4, width=screen(args)))
    for name, target in targets.items():
        if target.unpriced is not None:
            print_lines([f"{name}: {target.unpriced}"])
    return 0


def target_details(target: EnergyTarget, width: int | None = None) -> list[str]:
    """Write all prices, limits, gaps and sources of a target."""
    lines = [f"{target.name}: {target.title}", "", *textwrap.wrap(target.about, width or 100), ""]
    rows = [["term", "cost", "scope", "basis", "node, nm", "V", "evidence"]]
    rows += [
        [unit_price.operation, _price_text(unit_price), *_evidence_cells(unit_price)] for unit_price in target.prices
    ]
    for memory in target.memories:
        sizes = ", ".join(f"{size.access_pj:g} pJ at {size.size_bytes / 1024:g} KiB" for size in memory.sizes)
        rows += [[name, f"{sizes} a {memory.per}", *_evidence_cells(memory)] for name in memory.operations]
    if target.static is not None:
        static = target.static
        ends = "" if static.low_mw == static.high_mw else f" ({static.low_mw:g} to {static.high_mw:g})"
        rows.append(["static power of a chip", f"{static.value_mw:g}{ends} mW", *_evidence_cells(static)])
    lines += aligned(rows, text_columns=7, width=width) if len(rows) > 1 else [str(target.unpriced)]
    lines += ["", *(f"inside another price: {name}" for name in target.included_elsewhere)]
    lines += [f"left out: {gap}" for gap in target.missing]
    if target.chip is not None:
        limits = target.chip.model_dump(exclude={"source", "mark", "unchecked"}, exclude_none=True)
        for name, value in limits.items():
            items = value if isinstance(value, tuple) else (value,)
            lines.append(f"chip, {name}: {', '.join(map(str, items)) or 'none'}")
        lines += [f"not checked: {limit}" for limit in target.chip.unchecked]
        lines.append(f"source of the limits ({target.chip.mark}): {target.chip.source}")
    return [*lines, *dict.fromkeys(f"source ({evidence.mark}): {evidence.source}" for evidence in evidence_of(target))]


def _price_text(price: Price) -> str:
    """Write a price [pJ] with its interval, if it has one, and the unit that it is for."""
    ends = "" if price.low_pj == price.high_pj else f" ({price.low_pj:g} to {price.high_pj:g})"
    return f"{price.value_pj:g}{ends} pJ{f' a {price.per}' if price.per else ''}"


def _evidence_cells(evidence: Evidence) -> list[str]:
    """List the table cells about a price's evidence: scope, basis, node [nm], voltage [V] and mark."""
    node, voltage = (NONE if value is None else f"{value:g}" for value in (evidence.node_nm, evidence.voltage_v))
    return [evidence.scope, evidence.basis, node, voltage, evidence.mark]


def answer_price(args: argparse.Namespace) -> int:
    """Answer `sgbench energy price`: a record's energy on each target."""
    record, counts = energy.read_record(args.record)
    targets = chosen_targets(args.target, args.config_dir)
    title = f"{record.method.choices['dataset']}, {record.method_id}"
    priced = PricedNetwork.of(counts, targets, dt_s=record.method.protocol.dt_s, title=title)
    tree = {"footprint": asdict(footprint(counts)), "targets": list(map(estimate_tree, priced.estimates))}
    lines = table_lines(priced.table(), screen(args), "--wide")
    lines = [*network_lines(counts), training_line(record), "", *lines, *priced.table_notes()]
    return answer(args, tree, lines, priced.figure)


def network_lines(counts: OpCounts) -> list[str]:
    """Write lines on the activity and memory of a network, which do not depend on prices."""
    usage = footprint(counts)
    spikes, operations = _mean_text(usage.spikes_sent), _mean_text(usage.synaptic_operations)
    lines = [
        f"a sample: {spikes} spikes, {operations} synaptic operations; "
        f"in a step {100 * usage.activation_sparsity:.3g} % of the connections carry nothing"
    ]
    if usage.weights is not None:
        sizes = ", ".join(f"{size:,.0f} B at {bits} bits" for bits, size in usage.bytes_by_bits.items())
        zeros = "" if usage.connection_sparsity is None else f", {100 * usage.connection_sparsity:.3g} % of them 0"
        lines.append(f"memory: {usage.weights:,} weights{zeros}, {usage.state_words:,.0f} words of state: {sizes}")
    return lines


def training_line(record: RunRecord) -> str:
    memory = record.peak_memory_bytes
    peak = "not measured" if memory is None else f"{memory / 2**20:,.0f} MiB"
    took = f"{record.timing.fit_s:.3g} s, {len(record.curve)} epochs"
    return f"training: {took}, peak memory {peak}; its operations are not counted"


def _mean_text(mean: Mean) -> str:
    """Write a mean with the half-width of its interval, if known."""
    return f"{mean.value:,.4g}" if mean.half is None else f"{mean.value:,.4g} +- {mean.half:,.2g}"


def answer_explain(args: argparse.Namespace) -> int:
    record, counts = energy.read_record(args.record)
    (target,) = chosen_targets([args.target], args.config_dir).values()
    estimate = price(counts, target=target, dt_s=record.method.protocol.dt_s)
    return answer(args, estimate_tree(estimate), explanation(estimate, target, screen(args)))


def explanation(estimate: EnergyEstimate, target: EnergyTarget, width: int | None = None) -> list[str]:
    """Write an estimate term by term, with its totals, assumptions and sources."""
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
    lines = [f"{target.name}: {target.title}", "", *aligned(rows, text_columns=2, width=width), ""]
    lines.append(f"dynamic: {joules_interval(estimate.dynamic_nj)}")
    if estimate.static_nj is not None:
        time = f"{estimate.latency_s:.3g} s an inference"
        lines.append(f"static: {joules_interval(estimate.static_nj)}, for {time}")
    lines += [f"no total: {reason}" for reason in estimate.reasons]
    lines += [f"assumed: {assumption}" for assumption in estimate.assumptions]
    lines += [f"left out: {gap}" for gap in estimate.missing]
    sources = dict.fromkeys(
        f"source ({evidence.mark}, {evidence.scope}): {evidence.source}" for evidence in evidence_of(target)
    )
    return [*lines, *sources]


def answer_fit(args: argparse.Namespace) -> int:
    """Print whether and how a record's network fits a chip; return 1 if it does not."""
    record, counts = energy.read_record(args.record)
    (target,) = chosen_targets([args.target], args.config_dir).values()
    choices = record.method.choices
    chip_fit = fit(counts, target=target, neurons={role: choices[role] for role in ("neuron", "readout")})
    answer(args, {**asdict(chip_fit), "fits": chip_fit.fits}, fit_report(chip_fit, screen(args)))
    return 0 if chip_fit.fits else 1


def fit_report(chip_fit: ChipFit, width: int | None = None) -> list[str]:
    """Write whether a network fits a chip, and which cores each layer takes."""
    rows = [["layer", "first core", "cores", "because of"]]
    rows += [[piece.layer, str(piece.first_core), str(piece.cores), piece.decides] for piece in chip_fit.pieces]
    verdict = "fits, as far as was checked" if chip_fit.fits else "does not fit"
    size = f"cores: {chip_fit.cores}, chips: {chip_fit.chips}"
    return [
        f"{chip_fit.target}: {verdict}; {size}",
        "",
        *aligned(rows, text_columns=1, width=width),
        "",
        *[f"not supported: {feature}" for feature in chip_fit.unsupported],
        *[f"to be changed: {change}" for change in chip_fit.changes],
        *[f"not checked: {limit}" for limit in chip_fit.unchecked],
        f"source ({chip_fit.mark}): {chip_fit.source}",
    ]
