"""From operation counts to joules: a target's prices applied to what a network executed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from sgbench import catalogue
from sgbench.errors import InputError
from sgbench.records.counts import Count, LayerCounts, OpCounts
from sgbench.records.energy import EnergyTarget, Operation, Price
from sgbench.records.files import first_problem

LAYER_FIELDS: dict[Operation, str] = {
    "neuron_update": "neuron_updates",
    "neuron_multiplication": "neuron_multiplications",
    "neuron_addition": "neuron_additions",
    "neuron_comparison": "neuron_comparisons",
    "spike_sent": "spikes_sent",
    "bias_addition": "bias_additions",
}
UNPRICEABLE_FIELDS = (
    "normalisation_operations",
    "pooling_operations",
    "residual_additions",
    "delay_operations",
)
"""Counts for which a price list has no word yet: anything but zero leaves a network without a total."""


@dataclass(frozen=True)
class Interval:
    """A value between the ends that its evidence allows."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Interval:
        """All three multiplied by one factor."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Term:
    """One summand of the dynamic energy."""

    operation: Operation
    count_per_inference: float
    price: Price
    energy_nj: Interval


@dataclass(frozen=True)
class EnergyEstimate:
    """The energy of one inference [nJ] on one target; a number is None where `reasons` says why.

    `missing` names what even a given number leaves out: with it the number is a part, not a whole.
    """

    target: str
    latency_s: float
    dynamic_nj: Interval | None
    static_nj: Interval | None
    terms: tuple[Term, ...]
    missing: tuple[str, ...]
    reasons: tuple[str, ...]


def price(counts: OpCounts, *, target: EnergyTarget, dt_s: float) -> EnergyEstimate:
    r"""The energy of one inference on a target.

    .. math:: E_\mathrm{dynamic} = \sum_o \frac{n_o}{\mathrm{samples}} e_o, \qquad
              E_\mathrm{static} = P \, \frac{\mathrm{steps}}{\mathrm{samples}} \, dt

    An operation that occurs, has no price and is in no other price leaves no total, and so does one that was not
    counted: an unknown summand is never zero. Operations that the target itself names in `missing` are left out
    of the sum and stay named.

    Args:
        counts: totals over a test set.
        target: prices [pJ] and static power [mW].
        dt_s: length of one time step [s].
    """
    latency_s = counts.steps / counts.samples * dt_s
    terms, unpriced, uncounted = _sort(counts, target)
    reasons = (*(f"{name}: occurs, but {target.name} has no price for it" for name in unpriced), *uncounted)
    return EnergyEstimate(
        target=target.name,
        latency_s=latency_s,
        dynamic_nj=None if reasons else _total(term.energy_nj for term in terms),
        static_nj=_static(target, latency_s),
        terms=terms,
        missing=(*target.missing, *unpriced),
        reasons=reasons,
    )


def _sort(
    counts: OpCounts, target: EnergyTarget
) -> tuple[tuple[Term, ...], tuple[str, ...], tuple[str, ...]]:
    """Priced terms, names of operations that occur without a price, and complaints about missing counts."""
    prices = {item.operation: item for item in target.prices}
    left_out = {*target.included_elsewhere, *(item.split(":")[0].strip() for item in target.missing)}
    terms: list[Term] = []
    unpriced: list[str] = []
    uncounted: list[str] = []
    for operation, found in operation_counts(counts).items():
        found_price = prices.get(cast("Operation", operation))
        if found_price is None and operation in left_out:
            continue
        total, reason = _sum(found)
        if reason is not None:
            uncounted.append(f"{operation}: {reason}")
        elif found_price is not None:
            terms.append(_term(found_price, total / counts.samples))
        elif total:
            unpriced.append(operation)
    return tuple(terms), tuple(unpriced), tuple(uncounted)


def operation_counts(counts: OpCounts) -> dict[str, list[tuple[str, Count]]]:
    """The counts behind each kind of operation, as pairs of place and count."""
    found: dict[str, list[tuple[str, Count]]] = {"accumulate": [], "multiply_accumulate": []}
    for layer in counts.layers:
        for synapses in layer.synapses:
            found[synapses.operation].append((f"{synapses.source} to {layer.name}", synapses.effective))
        for name, count in _layer_counts(layer):
            found.setdefault(name, []).append((layer.name, count))
    return found


def _layer_counts(layer: LayerCounts) -> Iterator[tuple[str, Count]]:
    for operation, field in LAYER_FIELDS.items():
        yield operation, getattr(layer, field)
    for field in UNPRICEABLE_FIELDS:
        yield field, getattr(layer, field)


def _sum(found: list[tuple[str, Count]]) -> tuple[int, str | None]:
    """The exact total, or why there is none."""
    total = 0
    for place, count in found:
        if count.total is None:
            return 0, f"no count in {place} ({count.reason})"
        total += count.total
    return total, None


def _term(item: Price, count_per_inference: float) -> Term:
    per_operation_nj = Interval(item.value_pj, item.low_pj, item.high_pj).times(1e-3)
    return Term(item.operation, count_per_inference, item, per_operation_nj.times(count_per_inference))


def _total(parts: Iterable[Interval]) -> Interval:
    given = list(parts)
    return Interval(
        sum(part.value for part in given), sum(part.low for part in given), sum(part.high for part in given)
    )


def _static(target: EnergyTarget, latency_s: float) -> Interval | None:
    """Static power times duration [nJ]; an all-in price already contains it."""
    if target.static is None or any(item.scope == "all_in" for item in target.prices):
        return None
    power = target.static
    return Interval(power.value_mw, power.low_mw, power.high_mw).times(latency_s * 1e6)


def load_targets(config_dirs: Iterable[Path] = ()) -> dict[str, EnergyTarget]:
    """All energy targets of the catalogue and of the user's own folders, by name.

    Raises:
        InputError: a file is not a price list, or its name is not that of the target inside; one line.

    >>> sorted(load_targets())
    ['horowitz_45nm', 'loihi1', 'truenorth']
    """
    return {name: _target(found) for name, found in catalogue.entries("energy", config_dirs).items()}


def _target(found: catalogue.Entry) -> EnergyTarget:
    try:
        target = EnergyTarget.model_validate(found.parameters)
    except ValidationError as error:
        raise InputError(f"{found.path}: {first_problem(error)}") from error
    if target.name != found.name:
        raise InputError(f"{found.path}: name is {target.name}; a file's name and the name inside must agree")
    return target
