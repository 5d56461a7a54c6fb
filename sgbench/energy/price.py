"""Energy estimates: operation counts of a network times a target's prices of operations."""

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
    """Compute the energy of one access [pJ] to a memory of `size_bytes`.

    Between two published sizes, their prices are the bounds, and the value is interpolated linearly over the
    logarithm of the size. Up to the smallest size, value and high bound are its price; the low bound is in
    proportion to the size (two implementations of Lemaire et al. 2022 differ so).

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
    for smaller, larger in pairwise(price.sizes):
        if size_bytes <= larger.size_bytes:
            whole = math.log(larger.size_bytes / smaller.size_bytes)
            share = math.log(size_bytes / smaller.size_bytes) / whole
            value = smaller.access_pj + share * (larger.access_pj - smaller.access_pj)
            return BoundedValue(value, smaller.access_pj, larger.access_pj)
    raise InputError(f"a memory of {size_bytes:,.0f} bytes is larger than any with a price, {largest.size_bytes:,.0f}")


@dataclass(frozen=True)
class Term:
    """Holds one summand of the dynamic energy: the cost of one operation in a layer, or in all layers."""

    operation: Operation
    layer: str | None  # None for all layers together
    count_per_inference: float
    price: Price | MemoryPrice
    energy_nj: BoundedValue  # of an inference


@dataclass(frozen=True)
class EnergyEstimate:
    """Holds the energy of one inference of a network on one target."""

    target: str
    latency_s: float  # duration of an inference
    dynamic_nj: BoundedValue | None  # total over all operations; None if it is unknown, see `reasons`
    static_nj: BoundedValue | None  # static power times duration; None if unknown or part of a price
    terms: tuple[Term, ...]  # summands of the dynamic energy, by operation
    missing: tuple[str, ...]  # operations that occur and are not in the total
    reasons: tuple[str, ...]  # why the total is unknown
    by_layer: tuple[Term, ...] = ()  # summands by operation and layer
    assumptions: tuple[str, ...] = ()  # differences between the network and the one that is priced
    priced_nj: BoundedValue | None = None  # sum of the operations with a price; None if there are none

    @property
    def is_part(self) -> bool:
        return self.priced_nj is not None and bool(self.missing or self.reasons)

    @property
    def whole_nj(self) -> BoundedValue | None:
        """Dynamic and static energy together; the dynamic one alone where the target states no static power."""
        if self.dynamic_nj is None or self.static_nj is None:
            return self.dynamic_nj
        return self.dynamic_nj.plus(self.static_nj)

    @property
    def mark(self) -> str | None:
        """Return the weakest grade of evidence among the prices in use, e.g. "derived"; None without any."""
        order = ("verified", "derived", "secondary", "memory")
        marks = [term.price.mark for term in self.terms if term.count_per_inference]
        return max(marks, key=order.index, default=None)


def price(counts: OpCounts, *, target: EnergyTarget, dt_s: float) -> EnergyEstimate:
    r"""Compute the energy of one inference on a target.

    .. math:: E_\mathrm{dynamic} = \sum_l \sum_o \frac{n_{lo}}{\mathrm{samples}} e_o, \qquad
              E_\mathrm{static} = \mathrm{chips} \; P \, \frac{\mathrm{steps}}{\mathrm{samples}} \, dt

    with the number n_lo of operations o in layer l, their price e_o, and the static power P of a chip. There is no
    total if an operation was not counted, or occurs and has no price and is part of no other price. Operations that
    the target names as missing are left out of the sum and listed. At the low (high) bound, every price and every
    number of hops is at its low (high) bound.

    `counts`: totals over a test set; `target`: prices [pJ] and static power [mW]; `dt_s`: duration of a time step [s].
    """
    latency_s = counts.steps / counts.samples * dt_s / target.acceleration
    if target.unpriced is not None:
        return EnergyEstimate(target.name, latency_s, None, None, (), target.missing, (target.unpriced,))
    # Cores of each layer, and messages between cores if they have a price.
    pieces = () if target.chip is None else place(counts, target.chip)
    has_transport = target.chip is not None and not {*TRANSPORT}.isdisjoint(target.priced)
    moves = traffic(counts, target.chip, pieces) if has_transport and target.chip is not None else {}
    # Operations times prices.
    narrow = narrowed(counts, target.operand_bits)
    operations = tuple(operation_counts(narrow, moves, wanted=frozenset((*target.priced, *NEEDED))))
    terms, problems = _terms(operations, narrow, target)
    unpriced = _unpriced(operations, target)
    reasons = (*(f"{name}: occurs, but {target.name} has no price for it" for name in unpriced), *problems)
    chips = 1 if target.chip is None else chips_needed(pieces, target.chip)
    is_whole = bool(target.priced) and not reasons
    priced_nj = total(term.energy_nj for term in terms)
    has_priced = is_whole or any(term.count_per_inference > 0 for term in terms)
    return EnergyEstimate(
        target=target.name,
        latency_s=latency_s,
        dynamic_nj=priced_nj if is_whole else None,
        static_nj=_static(target, latency_s, chips),
        terms=_sum_by_operation(terms),
        missing=(*_occurring(target.missing, operations), *unpriced),
        reasons=reasons,
        by_layer=tuple(terms),
        assumptions=tuple(_assumptions(counts, target, chips)),
        priced_nj=priced_nj if has_priced else None,
    )


def _operation_in(item: str) -> str:
    """Return the operation in an item of `missing`, e.g. "bias_addition: not measured" -> "bias_addition"."""
    return item.split(":", maxsplit=1)[0].strip()


def _ignored_operations(target: EnergyTarget) -> set[str]:
    """Name the operations that need no price of their own on the target: included, missing or replaced by others."""
    missing = {_operation_in(item) for item in target.missing}
    priced = {*target.priced}
    replaced = {name for name, substitutes in INSTEAD.items() if not priced.isdisjoint(substitutes)}
    return {*target.included_elsewhere, *missing, *replaced}


def _unpriced(operations: Iterable[OperationCount], target: EnergyTarget) -> tuple[str, ...]:
    """Name the operations that occur and need a price, but have none on the target."""
    accounted = {*target.priced, *_ignored_operations(target)}
    occurring = [
        each.operation
        for each in operations
        if each.count is not None and each.count.value and each.operation in NEEDED
    ]
    return tuple(name for name in dict.fromkeys(occurring) if name not in accounted)


def _occurring(missing: Iterable[str], operations: tuple[OperationCount, ...]) -> list[str]:
    """Return a target's notes on missing operations without those of operations that the network never does."""
    absent = {*NEEDED} - {each.operation for each in operations if each.count is None or each.count.value}
    return [item for item in missing if _operation_in(item) not in absent]


def _terms(
    operations: tuple[OperationCount, ...], counts: OpCounts, target: EnergyTarget
) -> tuple[list[Term], tuple[str, ...]]:
    """Price each operation of each layer; return the terms of the sum, and why others could not be priced."""
    layers = {layer.name: layer for layer in counts.layers}
    prices: dict[str, Price | MemoryPrice] = {item.operation: item for item in target.prices}
    prices |= {name: item for item in target.memories for name in item.operations}
    ignored = _ignored_operations(target)
    terms: list[Term] = []
    problems: dict[str, None] = {}  # an ordered set
    for each in operations:
        item = prices.get(each.operation)
        if each.count is None:
            if item is not None or (each.operation in NEEDED and each.operation not in ignored):
                problems.setdefault(f"{each.operation}: no count in {each.location} ({each.reason})")
        elif item is not None:
            per_inference = each.count.over(counts.steps if target.passes == "once" else counts.samples)
            try:
                cost = _one_count_nj(item, each.operation, layers[each.layer], counts)
            except InputError as error:
                problems.setdefault(f"{each.operation}: {each.layer}: {error}")
                continue
            terms.append(Term(each.operation, each.layer, per_inference.value, item, per_inference.of(cost)))
    return terms, tuple(problems)


def _one_count_nj(
    item: Price | MemoryPrice, operation: Operation, layer: LayerCounts, counts: OpCounts
) -> BoundedValue:
    """Compute the energy [nJ] of one operation in a layer from its price `item`; a memory's depends on its size."""
    if isinstance(item, Price):
        return BoundedValue(item.value_pj, item.low_pj, item.high_pj).times(1e-3 / item.counts_each)
    size_bytes = weight_bytes(layer, counts.steps) if operation == "weight_read" else state_bytes(layer)
    if size_bytes is None:
        raise InputError("the size of its memory is not known")
    return access_pj(item, size_bytes).times(1e-3 / item.bits_each)


def _sum_by_operation(terms: Iterable[Term]) -> tuple[Term, ...]:
    """Sum the terms of all layers into one for each operation."""
    groups: dict[Operation, list[Term]] = {}
    for term in terms:
        groups.setdefault(term.operation, []).append(term)
    return tuple(
        Term(
            operation,
            layer=None,
            count_per_inference=sum(term.count_per_inference for term in group),
            price=group[0].price,
            energy_nj=total(term.energy_nj for term in group),
        )
        for operation, group in groups.items()
    )


def _static(target: EnergyTarget, latency_s: float, chips: int) -> BoundedValue | None:
    """Return static power times chips and duration [nJ]; None if unknown, or if a price may already include it."""
    if target.static is None or any(item.scope in ALONE for item in target.prices):
        return None
    power = target.static
    return BoundedValue(power.value_mw, power.low_mw, power.high_mw).times(latency_s * 1e6 * chips)


def _assumptions(counts: OpCounts, target: EnergyTarget, chips: int) -> Iterable[str]:
    """Yield a line for each property of the network that the estimate replaces: bits, passes, number of chips."""
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
    static = () if target.static is None else (target.static,)
    return (*target.prices, *target.memories, *static)


def load_targets(config_dirs: Iterable[Path] = (), *, everything: bool = False) -> dict[str, EnergyTarget]:
    """Map names to the energy targets of the catalogue and of the user's own folders.

    `everything`: whether to include targets that are no column of leaderboards.

    >>> sorted(load_targets())
    ['horowitz_45nm', 'loihi1', 'truenorth']
    """
    targets = {name: _target(entry) for name, entry in catalogue.entries("energy", config_dirs).items()}
    return {name: target for name, target in targets.items() if everything or target.on_boards}


def chosen_targets(names: Collection[str], config_dirs: Iterable[Path] = ()) -> dict[str, EnergyTarget]:
    """Return the named energy targets, all without a name; InputError for one that does not exist."""
    known = load_targets(config_dirs, everything=True)
    for name in names:
        if name not in known:
            raise InputError(f"energy target '{name}' does not exist; {suggest(name, known, 'sgbench list energy')}")
    return {name: known[name] for name in names} if names else known


def _target(entry: catalogue.Entry) -> EnergyTarget:
    """Validate an entry of the catalogue as an energy target; InputError names its file."""
    try:
        target = EnergyTarget.model_validate(entry.parameters)
    except ValidationError as error:
        raise InputError(f"{entry.path}: {first_problem(error)}") from error
    if target.name != entry.name:
        raise InputError(f"{entry.path}: name is {target.name}; a file's name and the name inside must agree")
    return target
