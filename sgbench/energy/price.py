"""From operation counts to joules: a target's prices applied to what a network executed."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from pydantic import ValidationError

from sgbench.composition import catalogue
from sgbench.energy.interval import BoundedValue, total
from sgbench.energy.operations import (
    NEEDED,
    TRANSPORT,
    OperationCount,
    narrowed,
    operation_counts,
    state_bytes,
    weight_bytes,
)
from sgbench.energy.placement import chips_needed, place, traffic
from sgbench.errors import InputError, suggest
from sgbench.records.counts import LayerCounts, OpCounts
from sgbench.records.energy import ALONE, INSTEAD, EnergyTarget, Evidence, MemoryPrice, Operation, Price
from sgbench.records.files import first_problem


def access_pj(price: MemoryPrice, size_bytes: float) -> BoundedValue:
    """Compute the energy of one access [pJ] to a memory of this size.

    Between two published sizes: from the smaller's to the larger's, the value on a straight line over the logarithm
    of the size. At or below the smallest: at most its cost, at least its cost in proportion to the size, which is
    how two implementations of one paper (Lemaire 2022) differ.

    Raises:
        InputError: the memory is larger than any with a price.

    >>> from sgbench.records.energy import MemoryPrice
    >>> sram = MemoryPrice(operations=("weight_read",), per="word64", scope="per_op", basis="simulated",
    ...     node_nm=45, voltage_v=0.9, source="an example", mark="memory",
    ...     sizes=({"size_bytes": 8192, "access_pj": 10}, {"size_bytes": 32768, "access_pj": 20}))
    >>> access_pj(sram, 16384), access_pj(sram, 4096)
    (BoundedValue(value=15.0, low=10.0, high=20.0), BoundedValue(value=10.0, low=5.0, high=10.0))
    """
    smallest, largest = price.sizes[0], price.sizes[-1]
    if size_bytes <= smallest.size_bytes:
        part = smallest.access_pj * size_bytes / smallest.size_bytes
        return BoundedValue(smallest.access_pj, part, smallest.access_pj)
    for a, b in pairwise(price.sizes):
        if size_bytes <= b.size_bytes:
            share = math.log(size_bytes / a.size_bytes) / math.log(b.size_bytes / a.size_bytes)
            value = a.access_pj + share * (b.access_pj - a.access_pj)
            return BoundedValue(value, a.access_pj, b.access_pj)
    raise InputError(
        f"a memory of {size_bytes:,.0f} bytes is larger than any with a price, {largest.size_bytes:,.0f}"
    )


@dataclass(frozen=True)
class Term:
    """Holds one summand of the dynamic energy: an operation of one layer, or of all together (layer None)."""

    operation: Operation
    layer: str | None
    count_per_inference: float
    price: Price | MemoryPrice
    energy_nj: BoundedValue


@dataclass(frozen=True)
class EnergyEstimate:
    """Holds the energy of one inference [nJ] on one target; a number is None where `reasons` says why.

    `missing` names what even a given number leaves out: with it the number is a part, not a whole. `assumptions`
    are what the number takes for granted of the network. `priced_nj` sums what has a price, also where there is no
    total; None where nothing has one.
    """

    target: str
    latency_s: float
    dynamic_nj: BoundedValue | None
    static_nj: BoundedValue | None
    terms: tuple[Term, ...]
    missing: tuple[str, ...]
    reasons: tuple[str, ...]
    by_layer: tuple[Term, ...] = ()
    assumptions: tuple[str, ...] = ()
    priced_nj: BoundedValue | None = None

    @property
    def is_part(self) -> bool:
        """Return whether what has a price is a part of the dynamic energy, and not all of it."""
        return self.priced_nj is not None and bool(self.missing or self.reasons)

    @property
    def whole_nj(self) -> BoundedValue | None:
        """Add dynamic and static energy, as far as the target has both."""
        if self.dynamic_nj is None or self.static_nj is None:
            return self.dynamic_nj
        return self.dynamic_nj.plus(self.static_nj)

    @property
    def mark(self) -> str | None:
        """Return the weakest evidence among the prices in use."""
        order = ("verified", "derived", "secondary", "memory")
        marks = [term.price.mark for term in self.terms if term.count_per_inference]
        return max(marks, key=order.index, default=None)


def price(counts: OpCounts, *, target: EnergyTarget, dt_s: float) -> EnergyEstimate:
    r"""Compute the energy of one inference on a target.

    .. math:: E_\mathrm{dynamic} = \sum_l \sum_o \frac{n_{lo}}{\mathrm{samples}} e_o, \qquad
              E_\mathrm{static} = \mathrm{chips} \; P \, \frac{\mathrm{steps}}{\mathrm{samples}} \, dt

    An operation that occurs, has no price and is in no other price leaves no total, and so does one that was not
    counted: an unknown summand is never zero. Operations that the target itself names in `missing` are left out
    of the sum and stay named. Ends of the interval: every price, and every number of hops, at its low or high end.

    Args:
        counts: totals over a test set.
        target: prices [pJ] and static power [mW].
        dt_s: length of one time step [s].
    """
    latency_s = counts.steps / counts.samples * dt_s / target.acceleration
    if target.unpriced is not None:
        return EnergyEstimate(target.name, latency_s, None, None, (), target.missing, (target.unpriced,))
    # Where layers lie on the chip, and what moves between its cores.
    pieces = () if target.chip is None else place(counts, target.chip)
    moving = target.chip is not None and not {*TRANSPORT}.isdisjoint(target.priced)
    moves = traffic(counts, target.chip, pieces) if moving and target.chip is not None else {}
    # Operations times prices; one without a price leaves the whole without a number.
    narrow = narrowed(counts, target.operand_bits)
    asked = tuple(operation_counts(narrow, moves, wanted=frozenset((*target.priced, *NEEDED))))
    terms, problems = _terms(asked, narrow, target)
    unpriced = _unpriced(asked, target)
    reasons = (*(f"{name}: occurs, but {target.name} has no price for it" for name in unpriced), *problems)
    chips = 1 if target.chip is None else chips_needed(pieces, target.chip)
    whole = bool(target.priced) and not reasons
    return EnergyEstimate(
        target=target.name,
        latency_s=latency_s,
        dynamic_nj=total(term.energy_nj for term in terms) if whole else None,
        static_nj=_static(target, latency_s, chips),
        terms=_sum_by_operation(terms),
        missing=(*_occurring(target.missing, asked), *unpriced),
        reasons=reasons,
        by_layer=tuple(terms),
        assumptions=tuple(_assumptions(counts, target, chips)),
        priced_nj=total(term.energy_nj for term in terms) if whole or any(map(_occurs, terms)) else None,
    )


def _occurs(term: Term) -> bool:
    return term.count_per_inference > 0


def _ignored_operations(target: EnergyTarget) -> set[str]:
    """Collect operations whose count does not matter: part of another price, or named as missing by the target."""
    named = {item.split(":")[0].strip() for item in target.missing}
    priced = {*target.priced}
    stood_for = {name for name, others in INSTEAD.items() if not priced.isdisjoint(others)}
    return {*target.included_elsewhere, *named, *stood_for}


def _unpriced(asked: Iterable[OperationCount], target: EnergyTarget) -> tuple[str, ...]:
    """List the needed operations that occur and that the target does not account for."""
    accounted = {*target.priced, *_ignored_operations(target)}
    names = [
        each.operation
        for each in asked
        if each.count is not None and each.count.value and each.operation in NEEDED
    ]
    return tuple(name for name in dict.fromkeys(names) if name not in accounted)


def _occurring(missing: Iterable[str], asked: tuple[OperationCount, ...]) -> list[str]:
    """List what a target leaves out, without operations that this network never does."""
    absent = {*NEEDED} - {each.operation for each in asked if each.count is None or each.count.value}
    return [item for item in missing if item.split(":")[0].strip() not in absent]


def _terms(
    asked: tuple[OperationCount, ...], counts: OpCounts, target: EnergyTarget
) -> tuple[list[Term], tuple[str, ...]]:
    """Price the operations of every layer, and describe the counts that are missing."""
    layers = {layer.name: layer for layer in counts.layers}
    prices: dict[str, Price | MemoryPrice] = {item.operation: item for item in target.prices}
    prices |= {name: item for item in target.memories for name in item.operations}
    left_out = _ignored_operations(target)
    terms: list[Term] = []
    problems: dict[str, None] = {}
    for each in asked:
        item = prices.get(each.operation)
        if each.count is None:
            if item is not None or (each.operation in NEEDED and each.operation not in left_out):
                problems.setdefault(f"{each.operation}: no count in {each.location} ({each.reason})")
        elif item is not None:
            # A count and a price make a term.
            per_inference = each.count.over(_inferences(counts, target))
            try:
                cost = _one_count_nj(item, each.operation, layers[each.layer], counts)
            except InputError as error:
                problems.setdefault(f"{each.operation}: {each.layer}: {error}")
                continue
            terms.append(Term(each.operation, each.layer, per_inference.value, item, per_inference.of(cost)))
    return terms, tuple(problems)


def _inferences(counts: OpCounts, target: EnergyTarget) -> int:
    """Return the divisor of totals: a target that runs once an inference repeats nothing over steps."""
    return counts.steps if target.passes == "once" else counts.samples


def _one_count_nj(
    item: Price | MemoryPrice, operation: Operation, layer: LayerCounts, counts: OpCounts
) -> BoundedValue:
    """Compute the energy of one count [nJ]."""
    if isinstance(item, Price):
        return BoundedValue(item.value_pj, item.low_pj, item.high_pj).times(1e-3 / item.counts_each)
    size = weight_bytes(layer, counts.steps) if operation == "weight_read" else state_bytes(layer)
    if size is None:
        raise InputError("the size of its memory is not known")
    return access_pj(item, size).times(1e-3 / item.bits_each)


def _sum_by_operation(terms: Iterable[Term]) -> tuple[Term, ...]:
    """Sum the terms of all layers into one term for each operation."""
    groups: dict[Operation, list[Term]] = {}
    for term in terms:
        groups.setdefault(term.operation, []).append(term)
    return tuple(
        Term(
            operation,
            None,
            sum(term.count_per_inference for term in group),
            group[0].price,
            total(term.energy_nj for term in group),
        )
        for operation, group in groups.items()
    )


def _static(target: EnergyTarget, latency_s: float, chips: int) -> BoundedValue | None:
    """Return static power times duration [nJ], or None where a price already contains it, or may."""
    if target.static is None or any(item.scope in ALONE for item in target.prices):
        return None
    power = target.static
    return BoundedValue(power.value_mw, power.low_mw, power.high_mw).times(latency_s * 1e6 * chips)


def _assumptions(counts: OpCounts, target: EnergyTarget, chips: int) -> Iterable[str]:
    """Yield what the price takes for granted that the network does not have."""
    widest = max((group.weight_bits for layer in counts.layers for group in layer.synapses), default=0)
    if target.operand_bits is not None and widest > target.operand_bits:
        yield f"weights and states of {widest} bits are priced as if they had {target.operand_bits}"
    if target.passes == "once":
        yield "the network is priced as one without spikes that runs once an inference"
    limit = None if target.chip is None else target.chip.weight_bits
    if limit is not None and widest > limit:
        yield f"weights of {widest} bits would have to be quantised to {limit}"
    if chips > 1:
        yield f"the network needs {chips} chips"


def evidence_of(target: EnergyTarget) -> tuple[Evidence, ...]:
    """Collect everything of a target that has a source."""
    static = () if target.static is None else (target.static,)
    return (*target.prices, *target.memories, *static)


def load_targets(config_dirs: Iterable[Path] = (), *, everything: bool = False) -> dict[str, EnergyTarget]:
    """Load the energy targets of the catalogue and of the user's own folders, by name.

    Args:
        config_dirs: folders with targets of one's own.
        everything: also those that are no column of leaderboards.

    Raises:
        InputError: a file is not a price list, or its name is not that of the target inside; one line.

    >>> sorted(load_targets())
    ['horowitz_45nm', 'loihi1', 'truenorth']
    """
    targets = {name: _target(entry) for name, entry in catalogue.entries("energy", config_dirs).items()}
    return {name: target for name, target in targets.items() if everything or target.on_boards}


def chosen_targets(names: Collection[str], config_dirs: Iterable[Path] = ()) -> dict[str, EnergyTarget]:
    """Select the targets of these names, or all of them where there is none.

    Raises:
        InputError: there is no such target; the line names the nearest.
    """
    known = load_targets(config_dirs, everything=True)
    for name in names:
        if name not in known:
            raise InputError(
                f"energy target '{name}' does not exist; {suggest(name, known, 'sgbench list energy')}"
            )
    return {name: known[name] for name in names} if names else known


def _target(entry: catalogue.Entry) -> EnergyTarget:
    """Read the prices of one entry."""
    try:
        target = EnergyTarget.model_validate(entry.parameters)
    except ValidationError as error:
        raise InputError(f"{entry.path}: {first_problem(error)}") from error
    if target.name != entry.name:
        raise InputError(f"{entry.path}: name is {target.name}; a file's name and the name inside must agree")
    return target
