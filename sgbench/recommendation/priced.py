"""Price measured settings on an energy target, and select those that fit on it or are Pareto-optimal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sgbench.energy.interval import BoundedValue, total
from sgbench.energy.price import price
from sgbench.errors import InputError
from sgbench.recommendation.block import REAL, ROUNDED, MeasuredRun, MeasuredTask, Setting
from sgbench.records.counts import Count, LayerCounts, OpCounts
from sgbench.records.energy import EnergyTarget
from sgbench.statistics.intervals import Summary, summarise

INPUT = "input"
NONE = Count(total=0)


def without_spikes(counts: OpCounts) -> OpCounts:
    """Return the operation counts of a network as if its neurons sent no spikes and its input were the same.

    The count of neurons that receive input in a step is left unchanged.
    """
    return counts.model_copy(update={"layers": tuple(_layer_without_spikes(layer) for layer in counts.layers)})


def _layer_without_spikes(layer: LayerCounts) -> LayerCounts:
    """Return a layer's counts without spikes from neurons; weight reads shrink as synaptic operations do."""
    groups = tuple(
        group if group.source == INPUT else group.model_copy(update={"effective": NONE}) for group in layer.synapses
    )
    before = sum(group.effective.total or 0 for group in layer.synapses)
    after = sum(group.effective.total or 0 for group in groups)
    reads = layer.weight_reads
    if reads.total is not None and before:
        reads = Count(total=round(reads.total * after / before))
    return layer.model_copy(update={"synapses": groups, "spikes_sent": NONE, "weight_reads": reads})


def moved_nj(counts: OpCounts, *, target: EnergyTarget, dt_s: float) -> float:
    """Compute the energy of an inference that is due to spikes of neurons [nJ]; 0 if a target gives no total.

    `counts`: operation counts of a network; `dt_s`: duration of a time step [s].
    """
    with_spikes = price(counts, target=target, dt_s=dt_s).dynamic_nj
    silent = price(without_spikes(counts), target=target, dt_s=dt_s).dynamic_nj
    return 0.0 if with_spikes is None or silent is None else with_spikes.value - silent.value


REAL_BITS = 32  # bits of a weight in single precision, as in the stored runs


@dataclass(frozen=True)
class PricedSetting:
    """Holds the accuracy and energy of a setting on one task, over its seeds."""

    setting: Setting
    validation: Summary  # accuracy from 0 to 1, by which settings are chosen
    test: Summary  # accuracy from 0 to 1, which is reported
    energy_nj: BoundedValue  # dynamic energy of an inference, mean over seeds, with the ends of the prices
    moved_nj: float  # the part due to spikes of neurons

    @property
    def order(self) -> tuple[float, float, Setting]:
        """Return a sort key: validation accuracy, then minus the energy; the best setting is the largest."""
        return self.validation.mean, -self.energy_nj.value, self.setting

    @staticmethod
    def of(setting: Setting, runs: Sequence[MeasuredRun], energy_nj: BoundedValue, moved_nj: float) -> PricedSetting:
        validation = summarise([run.validation for run in runs], scale="share")
        test = summarise([run.test for run in runs], scale="share")
        return PricedSetting(setting, validation, test, energy_nj, moved_nj)


PricedTask = Mapping[Setting, PricedSetting]


def priced_task(task: MeasuredTask, target: EnergyTarget) -> dict[Setting, PricedSetting]:
    """Price all settings of a task; settings whose runs all failed are left out."""
    priced = {}
    for setting, runs in task.runs.items():
        energies = list(_energies(task, runs, target))
        if energies:
            finished = [(run.counts, run.dt_s) for run in runs if run.counts is not None]
            moved = float(np.mean([moved_nj(counts, target=target, dt_s=dt_s) for counts, dt_s in finished]))
            priced[setting] = PricedSetting.of(setting, runs, total(energies).over(len(energies)), moved)
    return priced


def failed_settings(task: MeasuredTask) -> dict[Setting, PricedSetting]:
    """Return the settings none of whose runs finished, at an infinite energy."""
    infinite = BoundedValue(math.inf, math.inf, math.inf)
    return {
        setting: PricedSetting.of(setting, runs, infinite, math.inf)
        for setting, runs in task.runs.items()
        if all(run.counts is None for run in runs)
    }


def _energies(task: MeasuredTask, runs: Sequence[MeasuredRun], target: EnergyTarget) -> Iterable[BoundedValue]:
    """Yield the dynamic energy [nJ] of each finished run; InputError if the target cannot price all of it."""
    for run in runs:
        if run.counts is None:
            continue
        estimate = price(run.counts, target=target, dt_s=run.dt_s)
        if estimate.dynamic_nj is None:
            why = estimate.reasons[0] if estimate.reasons else "it prices nothing"
            raise InputError(
                f"--target {target.name}: no total for '{task.title}': {why}; sgbench energy list names others"
            )
        yield estimate.dynamic_nj


def most_bits(target: EnergyTarget, bits: int | None = None) -> int | None:
    """Return the most bits that a weight may have by a target's chip or operands and a user's limit `bits`.

    None if none of these is limited.
    """
    chip = None if target.chip is None else target.chip.weight_bits
    limits = [limit for limit in (chip, target.operand_bits, bits) if limit is not None]
    return min(limits, default=None)


def holdable(settings: PricedTask, limit: int | None) -> dict[Setting, PricedSetting]:
    """Select the settings whose weights fit into `limit` bits as they were trained; None: any number of bits."""
    return {
        setting: priced
        for setting, priced in settings.items()
        if setting.weights != ROUNDED and (limit is None or (setting.bits or REAL_BITS) <= limit)
    }


def real(settings: PricedTask) -> dict[Setting, PricedSetting]:
    return {setting: priced for setting, priced in settings.items() if setting.weights == REAL}


def choose(settings: PricedTask, *, max_nj: float | None, min_accuracy: float | None) -> PricedSetting | None:
    """Choose by validation the most accurate setting within `max_nj`, or without it the cheapest accurate one.

    `max_nj`: most energy of an inference [nJ]; None: no limit. `min_accuracy`: least validation accuracy, from 0 to 1;
    None: no limit. Returns the setting, or None if none keeps both limits.
    """
    fitting = [
        priced
        for priced in settings.values()
        if (max_nj is None or priced.energy_nj.value <= max_nj)
        and (min_accuracy is None or priced.validation.mean >= min_accuracy)
    ]
    if not fitting:
        return None
    return min(fitting, key=_cheapest_first) if max_nj is None else max(fitting, key=lambda best: best.order)


def _cheapest_first(priced: PricedSetting) -> tuple[float, float, Setting]:
    return priced.energy_nj.value, -priced.validation.mean, priced.setting


def front(settings: PricedTask) -> tuple[PricedSetting, ...]:
    """List the Pareto front of settings in validation accuracy and energy, the cheapest first."""
    optimal: list[PricedSetting] = []
    for priced in sorted(settings.values(), key=_cheapest_first):
        if not optimal or priced.validation.mean > optimal[-1].validation.mean:
            optimal.append(priced)
    return tuple(optimal)
