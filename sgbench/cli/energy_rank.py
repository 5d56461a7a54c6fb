"""`sgbench energy rank`: methods and matched networks without spikes, and whether prices change their order."""

from __future__ import annotations

import argparse
import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.cli.common import answer, screen
from sgbench.composition.data_facts import in_time
from sgbench.energy.baseline import bit_share
from sgbench.energy.crossover import Duel, EnergyComparison, Matched, matched, synapse_rate
from sgbench.energy.pool import pooled
from sgbench.energy.price import chosen_targets
from sgbench.errors import InputError
from sgbench.leaderboard import costs
from sgbench.leaderboard.differing_settings import names_apart
from sgbench.paths import RECORD
from sgbench.records.counts import OpCounts
from sgbench.records.energy import EnergyTarget
from sgbench.records.files import read_model
from sgbench.records.method import by_method
from sgbench.records.record import RunRecord
from sgbench.tables import aligned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_METHODS_IN_PAIRS = 12  # with more methods, only neighbours in the ranking are printed


@dataclass(frozen=True)
class Contestant:
    """Holds one method that is ranked by energy, with the records of its finished seeds."""

    label: str
    records: tuple[RunRecord, ...]
    counts: OpCounts  # operations of all seeds together
    matched: Matched  # energies on each target, beside those of the same layers without spikes

    @property
    def accuracies(self) -> tuple[float, ...]:
        tests = (record.test for record in self.records if record.test is not None)
        return tuple(test.accuracy for test in tests if test.accuracy is not None)


def answer_rank(args: argparse.Namespace) -> int:
    """Print the energy of methods and of matched networks without spikes, and how stable their order is."""
    targets = chosen_targets(args.target, args.config_dir)
    methods = read_contestants(args.sources, [*targets.values()], args.config_dir)
    dt_s = methods[0].records[0].method.protocol.dt_s
    counts = {method.label: method.counts for method in methods}
    stability = costs.stability(counts, targets=[*targets.values()], dt_s=dt_s)
    width = screen(args)
    tree, order_lines = _tree(methods, stability), stability_lines(stability, width)
    lines = [*comparison_lines(methods, width), "", *order_lines]
    return answer(args, tree, lines, functools.partial(_figure, methods, targets))


def read_contestants(
    sources: Sequence[Path], targets: Sequence[EnergyTarget], config_dirs: Sequence[Path]
) -> list[Contestant]:
    """Read the methods of finished runs in files and folders, those with the fewest events a synapse first."""
    records = [read_model(path, RunRecord) for path in _record_files(sources)]
    groups = by_method(record for record in records if record.counts is not None and record.test is not None)
    if not groups:
        raise InputError(f"{', '.join(map(str, sources))}: no record of a finished run")
    first, *_ = (group[0] for group in groups.values())
    protocols = sorted({record.protocol for group in groups.values() for record in group})
    if len(protocols) > 1:
        raise InputError(f"records of protocols {', '.join(protocols)} are not comparable; name one folder")
    labels = names_apart({key: group[0].method for key, group in groups.items()})
    dt_s, series = first.method.protocol.dt_s, in_time(first.method.choices["dataset"], config_dirs)
    methods = []
    for key, group in groups.items():
        counts = pooled([record.counts for record in group if record.counts is not None])
        energies = matched(counts, targets=targets, dt_s=dt_s, in_time=series)
        methods.append(Contestant(labels[key], tuple(group), counts, energies))
    return sorted(methods, key=lambda method: synapse_rate(method.counts))


def _record_files(sources: Sequence[Path]) -> Iterator[Path]:
    """Yield the files of records among the sources, and below those that are folders."""
    for source in sources:
        if source.is_file():
            yield source
        elif source.is_dir():
            yield from (path for path in sorted(source.rglob("*.json")) if path.name == RECORD or path.stem.isdigit())
        else:
            raise InputError(f"{source}: no such file or folder")


def comparison_lines(methods: Sequence[Contestant], width: int | None = None) -> list[str]:
    """Write a table of methods beside networks without spikes, one with full and one with quantised activations."""
    rows = [["method", "accuracy, %", "rate, %", "crossover, %", "bits, %", "beats its ANN on", "its QNN on"]]
    bits = methods[0].matched.activation_bits
    for method in methods:
        energies = method.matched
        ends = energies.crossover_range
        rows.append(
            [
                method.label,
                f"{100 * math.fsum(method.accuracies) / len(method.accuracies):.2f}",
                f"{100 * energies.rate:.3g}",
                "-" if ends is None else " to ".join(f"{100 * end:.3g}" for end in ends),
                f"{100 * bit_share(method.counts, bits):.3g}",
                "{} of {}".format(*energies.cheaper(quantised=False)),
                "{} of {}".format(*energies.cheaper(quantised=True)),
            ]
        )
    return [
        *aligned(rows, text_columns=1, width=width),
        "rate: events a synapse and step; crossover: the rate at which the network without spikes costs the same",
        "bits: products of bits, over those of the network without spikes and with quantised activations",
        f"its ANN: the same layers without spikes; its QNN: the same with activations of {bits} bits, on targets",
        "whose operands have 8 bits at most, where the weights of both are as narrow",
    ]


def stability_lines(stability: Sequence[Duel], width: int | None = None) -> list[str]:
    """Write a table of how often the order of each pair of methods holds when prices vary in their intervals."""
    if not stability:
        return ["no pair of methods has a total on one target"]
    rows = [["cheaper", "than", "share of prices", "targets", "on all"]]
    methods = list(dict.fromkeys(name for duel in stability for name in (duel.a, duel.b)))
    many = len(methods) > MOST_METHODS_IN_PAIRS
    for duel in stability:
        are_neighbours = methods.index(duel.b) - methods.index(duel.a) <= 1
        if many and not are_neighbours:
            continue
        cheaper, dearer, share = duel.a, duel.b, duel.mean
        if duel.mean < 0.5:  # noqa: PLR2004 - `a` is cheaper at less than half of the prices
            cheaper, dearer, share = duel.b, duel.a, 1 - duel.mean
        rows.append([cheaper, dearer, f"{share:.0%}", str(len(duel.share)), "yes" if duel.certain else "no"])
    return [
        *aligned(rows, text_columns=2, width=width),
        "share: of the corners of each target's price intervals, over the targets that tell the two apart",
        *(["neighbours alone; --json has every pair"] if many else []),
    ]


def _tree(methods: Sequence[Contestant], stability: Sequence[Duel]) -> Any:
    """Convert methods, their comparisons with networks without spikes, and the stability to a tree for JSON."""
    return {
        "methods": [
            {
                "method": method.label,
                "accuracies": list(method.accuracies),
                "rate": method.matched.rate,
                "beside": [_comparison_tree(comparison) for comparison in method.matched.comparisons.values()],
            }
            for method in methods
        ],
        "stability": [{**asdict(duel), "mean": duel.mean, "certain": duel.certain} for duel in stability],
    }


def _comparison_tree(comparison: EnergyComparison) -> dict[str, Any]:
    tree = asdict(comparison)
    ends = tree["crossover"] or {}
    # JSON has no infinity, which stands for a rate that is never reached.
    crossover = {key: value if math.isfinite(value) else None for key, value in ends.items()} or None
    return {**tree, "crossover": crossover, "wins": comparison.wins}


def _figure(methods: Sequence[Contestant], targets: dict[str, EnergyTarget]) -> Figure:
    """Draw accuracy against energy, one panel for each target that prices all methods and tells some apart."""
    from sgbench.plots.chart import Estimate
    from sgbench.plots.energy_front import FrontMethod, FrontPanel, front_figure

    panels = []
    for name in sorted(targets, key=lambda name: not targets[name].on_boards):
        comparisons = [method.matched.comparisons[name] for method in methods]
        energies = [comparison.spiking_nj for comparison in comparisons if comparison.spiking_nj is not None]
        estimates = [Estimate(energy.value, energy.low, energy.high) for energy in energies]
        if len(estimates) == len(methods) and len(set(estimates)) > 1:
            panels.append(FrontPanel(name, tuple(estimates), _shared_ann_nj(comparisons)))
    points = [FrontMethod(method.label, tuple(100 * accuracy for accuracy in method.accuracies)) for method in methods]
    return front_figure(points, panels)


def _shared_ann_nj(comparisons: Sequence[EnergyComparison]) -> float | None:
    """Return the energy of the network without spikes [nJ]; None if it is unknown or differs between methods."""
    energies = {comparison.ann_nj for comparison in comparisons}
    (energy,) = energies if len(energies) == 1 else (None,)
    return None if energy is None else energy.value
