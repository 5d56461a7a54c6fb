"""`sgbench energy rank`: methods and matched networks without spikes, and whether prices change their order."""

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sgbench.cli import energy
from sgbench.cli.common import answer, screen
from sgbench.composition.data_facts import in_time
from sgbench.energy.baseline import bit_share
from sgbench.energy.crossover import EnergyComparison, Matched, matched, synapse_rate
from sgbench.energy.pool import pooled
from sgbench.energy.stability import Duel
from sgbench.errors import InputError
from sgbench.leaderboard import costs
from sgbench.leaderboard.varying import names_apart
from sgbench.records.counts import OpCounts
from sgbench.records.energy import EnergyTarget
from sgbench.records.files import read_model
from sgbench.records.method import by_method
from sgbench.records.record import RunRecord
from sgbench.tables import aligned

MOST_METHODS_IN_PAIRS = 12  # with more methods, only neighbours in the ranking are printed


@dataclass(frozen=True)
class Contestant:
    """Holds one method that is ranked by energy, with the records of its finished seeds."""

    label: str
    records: tuple[RunRecord, ...]
    counts: OpCounts  # operations of all seeds together

    @property
    def accuracies(self) -> tuple[float, ...]:
        tests = (record.test for record in self.records if record.test is not None)
        return tuple(test.accuracy for test in tests if test.accuracy is not None)

    @property
    def dt_s(self) -> float:
        """Return the length of one time step [s]."""
        return self.records[0].method.protocol.dt_s


def answer_rank(args: argparse.Namespace) -> int:
    """Print the energy of methods and of matched networks without spikes, and how stable their order is."""
    targets = energy.load_targets_named(args.target, args.config_dir)
    methods = read_contestants(args.sources)
    chosen, dt_s = [*targets.values()], methods[0].dt_s
    series = in_time(methods[0].records[0].method.choices["dataset"], args.config_dir)
    by_label = {method.label: matched(method.counts, targets=chosen, dt_s=dt_s, in_time=series) for method in methods}
    stability = costs.stability({method.label: method.counts for method in methods}, targets=chosen, dt_s=dt_s)
    if args.plot is not None:
        _plot(methods, by_label, targets, args.plot)
    width = screen(args)
    lines = [*comparison_lines(methods, by_label, width), "", *stability_lines(stability, width)]
    return answer(args, _tree(methods, by_label, stability), lines)


def _plot(
    methods: Sequence[Contestant], by_label: dict[str, Matched], targets: dict[str, EnergyTarget], path: Path
) -> None:
    """Draw accuracy against energy into a file, one panel for each target on which energies differ."""
    from sgbench.plots import style
    from sgbench.plots.energy_front import FrontMethod, FrontPanel, front_figure
    from sgbench.plots.estimate import Estimate

    panels = []
    for name in sorted(targets, key=lambda name: not targets[name].on_boards):
        comparisons = [by_label[method.label].comparisons[name] for method in methods]
        energies = [comparison.spiking_nj for comparison in comparisons if comparison.spiking_nj is not None]
        known = [Estimate(energy.value, energy.low, energy.high) for energy in energies]
        if len(known) == len(methods) and len(set(known)) > 1:
            panels.append(FrontPanel(name, tuple(known), _shared_ann_nj(comparisons)))
    points = [FrontMethod(method.label, tuple(100 * accuracy for accuracy in method.accuracies)) for method in methods]
    style.save(lambda: front_figure(points, panels), path)


def _shared_ann_nj(comparisons: Sequence[EnergyComparison]) -> float | None:
    """Return the energy of the network without spikes [nJ]; None if it is unknown or differs between methods."""
    energies = {comparison.ann_nj for comparison in comparisons}
    (energy,) = energies if len(energies) == 1 else (None,)
    return None if energy is None else energy.value


def read_contestants(sources: Sequence[Path]) -> list[Contestant]:
    records = [read_model(path, RunRecord) for path in _record_files(sources)]
    groups = by_method(record for record in records if record.counts is not None and record.test is not None)
    if not groups:
        raise InputError(f"{', '.join(map(str, sources))}: no record of a finished run")
    protocols = sorted({record.protocol for group in groups.values() for record in group})
    if len(protocols) > 1:
        raise InputError(f"records of protocols {', '.join(protocols)} are not comparable; name one folder")
    labels = names_apart({key: group[0].method for key, group in groups.items()})
    methods = [
        Contestant(labels[key], tuple(group), pooled([record.counts for record in group if record.counts is not None]))
        for key, group in groups.items()
    ]
    return sorted(methods, key=lambda method: synapse_rate(method.counts))


def _record_files(sources: Sequence[Path]) -> Iterator[Path]:
    for source in sources:
        if source.is_file():
            yield source
        elif source.is_dir():
            yield from (
                path for path in sorted(source.rglob("*.json")) if path.name == "record.json" or path.stem.isdigit()
            )
        else:
            raise InputError(f"{source}: no such file or folder")


def comparison_lines(
    methods: Sequence[Contestant], by_label: dict[str, Matched], width: int | None = None
) -> list[str]:
    rows = [["method", "accuracy, %", "rate, %", "crossover, %", "bits, %", "beats its ANN on", "its QNN on"]]
    bits = by_label[methods[0].label].activation_bits
    for method in methods:
        energies = by_label[method.label]
        ends = energies.crossover_range
        rows.append(
            [
                method.label,
                f"{100 * math.fsum(method.accuracies) / len(method.accuracies):.2f}",
                f"{100 * energies.rate:.3g}",
                "-" if ends is None else " to ".join(f"{100 * end:.3g}" for end in ends),
                f"{100 * bit_share(method.counts, bits):.3g}",
                *("{} of {}".format(*energies.cheaper(quantised=kind)) for kind in (False, True)),
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
    rows = [["cheaper", "than", "share of prices", "targets", "on all"]]
    methods = list(dict.fromkeys(name for duel in stability for name in (duel.a, duel.b)))
    many = len(methods) > MOST_METHODS_IN_PAIRS
    for duel in stability:
        if many and methods.index(duel.b) - methods.index(duel.a) > 1:
            continue
        is_a_cheaper = duel.mean >= 0.5  # noqa: PLR2004 - half
        cheaper, other = (duel.a, duel.b) if is_a_cheaper else (duel.b, duel.a)
        share = duel.mean if is_a_cheaper else 1 - duel.mean
        rows.append([cheaper, other, f"{share:.0%}", str(len(duel.share)), "yes" if duel.certain else "no"])
    if not stability:
        return ["no pair of methods has a total on one target"]
    return [
        *aligned(rows, text_columns=2, width=width),
        "share: of the corners of each target's price intervals, over the targets that tell the two apart",
        *(["neighbours alone; --json has every pair"] if many else []),
    ]


def _tree(methods: Sequence[Contestant], by_label: dict[str, Matched], stability: Sequence[Duel]) -> Any:
    """Convert methods, their comparisons with networks without spikes, and the stability to a tree for JSON."""

    def comparison_tree(comparison: EnergyComparison) -> dict[str, Any]:
        tree = asdict(comparison)
        ends = tree["crossover"] or {}
        crossover = {key: value if math.isfinite(value) else None for key, value in ends.items()} or None
        return {**tree, "crossover": crossover, "wins": comparison.wins}

    return {
        "methods": [
            {
                "method": method.label,
                "accuracies": list(method.accuracies),
                "rate": by_label[method.label].rate,
                "beside": [comparison_tree(comparison) for comparison in by_label[method.label].comparisons.values()],
            }
            for method in methods
        ],
        "stability": [{**asdict(duel), "mean": duel.mean, "certain": duel.certain} for duel in stability],
    }
