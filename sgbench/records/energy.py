"""Energy targets: the prices of operations on a chip or other hardware, with their sources."""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import Literal

from pydantic import Field, model_validator

from sgbench.records.base import Natural, Positive, Strict


class Chip(Strict):
    """Holds the limits of one chip; null where none is published or where there is none.

    A layer is cut into pieces, each on a core of its own, so that no limit of a core is passed.
    """

    cores: Positive | None
    neurons_per_core: Positive | None
    fan_in: Positive | None  # inputs that a neuron, or the core that it is on, can listen to
    synapse_bits_per_core: Positive | None
    weight_bits: Positive | None  # of a stored weight
    decay_bits: Positive | None = None  # of a factor by which a potential decays in a step
    below_weight_bits: Positive | None = None  # of a potential below the unit of the finest weight
    layers_share: bool = False  # whether a core holds neurons of several layers
    cores_per_tile: Positive = 1  # cores that one router serves
    tiles_east_west: Positive | None = None  # width of the mesh of routers
    neurons: tuple[str, ...] | None  # catalogue neurons that the hardware has; null: it runs programs
    inputs: tuple[str, ...] = ("binary",)  # kinds of input
    unchecked: tuple[str, ...] = ()  # limits that exist and are not looked at
    source: str = Field(min_length=3, max_length=500)
    mark: Literal["verified", "secondary", "derived", "memory"]


Per = Literal["operation", "step", "hop", "bit", "byte", "word16", "word32", "word64"]

SIZES: dict[Per, tuple[str, int]] = {
    "operation": ("operation", 1),
    "step": ("step", 1),
    "hop": ("hop", 1),
    "bit": ("bit", 1),
    "byte": ("bit", 8),
    "word16": ("bit", 16),
    "word32": ("bit", 32),
    "word64": ("bit", 64),
}
"""Maps each unit to (base unit, number of base units)."""


def counts_in(per: Per, counted: Per) -> float:
    """Convert a unit: return how many units `counted` make one unit `per`.

    >>> counts_in("word64", "bit"), counts_in("operation", "operation")
    (64.0, 1.0)
    >>> counts_in("byte", "operation")
    Traceback (most recent call last):
    ...
    ValueError: a price per byte cannot be multiplied by a number of operations
    """
    kind, size = SIZES[per]
    counted_kind, counted_size = SIZES[counted]
    if kind != counted_kind:
        raise ValueError(f"a price per {per} cannot be multiplied by a number of {counted}s")
    return size / counted_size


Operation = Literal[
    "accumulate",
    "multiply_accumulate",
    "dense_operation",  # a synapse served whether or not anything arrived
    "neuron_update",
    "neuron_update_with_input",
    "neuron_update_idle",
    "neuron_multiplication",
    "neuron_addition",
    "neuron_comparison",
    "function_evaluation",
    "spike_sent",
    "spike_message",  # a spike to one core that it is sent to
    "hop_east_west",
    "hop_north_south",
    "bias_addition",
    "normalisation_operation",
    "pooling_operation",
    "residual_addition",
    "delay_operation",
    "weight_read",
    "state_read",
    "state_write",
    "event_state_read",  # of the state that an event adds to, where each event is written back at once
    "event_state_write",
    "event_address",  # of that state, found for each synapse
    "step",
]
COUNTED_IN: dict[Operation, Per] = {
    "hop_east_west": "hop",
    "hop_north_south": "hop",
    "weight_read": "bit",
    "state_read": "bit",
    "state_write": "bit",
    "event_state_read": "bit",
    "event_state_write": "bit",
    "step": "step",
}
"""Units of counts that are not in operations."""
INSTEAD: dict[Operation, tuple[Operation, ...]] = {
    "neuron_update": ("neuron_update_with_input", "neuron_update_idle"),
    "accumulate": ("dense_operation",),
    "multiply_accumulate": ("dense_operation",),
}
"""Maps operations to those that include them: a target has prices for the one or for the others."""

Scope = Literal["per_op", "marginal", "all_in", "unstated", "static"]
ALONE: tuple[Scope, ...] = ("all_in", "unstated")
"""Scopes of prices that include, or may include, the cost of other operations, so that nothing is added to them."""
Mark = Literal["verified", "secondary", "derived", "memory"]


class Evidence(Strict):
    """Says where a number comes from and how far it can be trusted."""

    scope: Scope
    basis: Literal["simulated", "measured", "fitted", "unstated"]
    node_nm: float | None = Field(gt=0)
    voltage_v: float | None = Field(gt=0)
    source: str = Field(min_length=3, max_length=500)
    mark: Mark


class Price(Evidence):
    """Holds energy of one operation [pJ], as an interval."""

    operation: Operation
    value_pj: float = Field(ge=0)
    low_pj: float = Field(ge=0)
    high_pj: float = Field(ge=0)
    per: Per | None = None  # None: what the operation is counted in

    @model_validator(mode="after")
    def _ordered(self) -> Price:
        """Require ordered bounds, a scope of an operation, and a readable unit."""
        if not self.low_pj <= self.value_pj <= self.high_pj:
            raise ValueError(f"{self.operation}: low_pj <= value_pj <= high_pj is needed")
        if self.scope == "static":
            raise ValueError(f"{self.operation}: an operation's price cannot be of scope static")
        try:
            _ = self.counts_each
        except ValueError as error:
            raise ValueError(f"{self.operation}: {error}") from None
        return self

    @cached_property
    def counts_each(self) -> float:
        """Return how many counts of the operation the price is for, e.g. 64 bits for a price per 64-bit word."""
        counted = COUNTED_IN.get(self.operation, "operation")
        return counts_in(self.per or counted, counted)


Access = Literal["weight_read", "state_read", "state_write", "event_state_read", "event_state_write"]


class MemorySize(Strict):
    """Holds what an access to a memory of one size costs [pJ]."""

    size_bytes: float = Field(gt=0)
    access_pj: float = Field(ge=0)


class MemoryPrice(Evidence):
    """Holds energy of accesses that grows with the memory they go to: each layer has memories of its own.

    Between two sizes the cost lies between theirs. Below the smallest it lies between nothing in proportion and
    the smallest's. Beyond the largest there is no price.
    """

    operations: tuple[Access, ...] = Field(min_length=1)
    per: Per  # what one access moves
    sizes: tuple[MemorySize, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ordered(self) -> MemoryPrice:
        """Require a readable unit, and costs that do not fall as sizes grow."""
        try:
            _ = self.bits_each
        except ValueError as error:
            raise ValueError(f"{', '.join(self.operations)}: {error}") from None
        if any(a.size_bytes >= b.size_bytes or a.access_pj > b.access_pj for a, b in pairwise(self.sizes)):
            raise ValueError("memory sizes must grow, and their costs must not fall")
        return self

    @cached_property
    def bits_each(self) -> float:
        """Return the number of bits that one access moves."""
        return counts_in(self.per, "bit")


class StaticPower(Evidence):
    """Holds power of one chip, drawn whatever the activity [mW], charged for the duration of an inference."""

    value_mw: float = Field(ge=0)
    low_mw: float = Field(ge=0)
    high_mw: float = Field(ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> StaticPower:
        if not self.low_mw <= self.value_mw <= self.high_mw:
            raise ValueError("low_mw <= value_mw <= high_mw is needed")
        if self.scope != "static":
            raise ValueError("static power needs scope static")
        return self


class FitPoint(Strict):
    """Describes one measurement from which prices were fitted."""

    events_per_s: float = Field(ge=0)
    power_mw: float = Field(gt=0)
    half_mw: float = Field(ge=0)  # half of its last digit: how far rounding may have moved it


class EnergyTarget(Strict):
    """Describes one target: its prices, its static power, and the terms that nobody has published."""

    name: str = Field(pattern=r"^[a-z0-9_]+$", max_length=40)
    title: str = Field(max_length=100)
    about: str = Field(max_length=700)
    prices: tuple[Price, ...]
    memories: tuple[MemoryPrice, ...] = ()
    included_elsewhere: tuple[Operation, ...]  # operations that another price already contains
    static: StaticPower | None
    missing: tuple[str, ...]  # named terms without a price
    unpriced: str | None = None  # why there is no price at all
    operand_bits: int | None = Field(default=None, ge=1, le=64)  # that the prices are for, where they are
    passes: Literal["each_step", "once"] = "each_step"  # once: what is clocked runs once an inference
    acceleration: float = Field(default=1, gt=0)  # how much faster than modelled time the target runs
    fitted_to: tuple[FitPoint, ...] = ()
    chip: Chip | None = None
    on_boards: bool = True  # a column of every leaderboard

    @cached_property
    def priced(self) -> tuple[str, ...]:
        memory = (operation for item in self.memories for operation in item.operations)
        return (*(price.operation for price in self.prices), *memory)

    @model_validator(mode="after")
    def _priced_once(self) -> EnergyTarget:
        """Refuse an operation with two prices, also one whose parts are priced each for itself."""
        names = [*self.priced, *self.included_elsewhere]
        doubled = {name for name in names if names.count(name) > 1}
        doubled |= {name for name, others in INSTEAD.items() if name in self.priced and {*others} & {*names}}
        if doubled:
            raise ValueError(f"priced twice: {', '.join(sorted(doubled))}")
        return self

    @model_validator(mode="after")
    def _one_scope(self) -> EnergyTarget:
        """Refuse prices that count different things: their sum would count some energy twice or not at all."""
        scopes = sorted({price.scope for price in (*self.prices, *self.memories)})
        for scope in scopes:
            if scope in ALONE and len(self.priced) > 1:
                raise ValueError(f"an {scope} price may contain every other term: it must stand alone")
        if len(scopes) > 1:
            raise ValueError(f"prices of scopes {' and '.join(scopes)} cannot be summed")
        return self

    @model_validator(mode="after")
    def _priced_or_reason(self) -> EnergyTarget:
        has_none = not self.priced and self.static is None
        if has_none != (self.unpriced is not None):
            raise ValueError("prices or static power, or else the reason in `unpriced` why there are none")
        return self


class Range(Strict):
    """Holds a number with the ends that its source allows."""

    value: float = Field(ge=0)
    low: float = Field(ge=0)
    high: float = Field(ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low <= self.value <= self.high:
            raise ValueError("low <= value <= high is needed")
        return self


class CaseLayer(Strict):
    """Describes one layer, or several alike, and what one inference does to it."""

    name: str = Field(max_length=40)
    neurons: Natural
    inputs: Natural  # synapses of each neuron
    events: Range  # arriving, each at all neurons
    spikes: Range  # sent
    copies: Positive = 1
    updated: bool = True  # whether its neurons are updated in every step; false for synapses alone


class CasePoint(Strict):
    """Holds one energy that a publication measured."""

    label: str = Field(max_length=60)
    measured_nj: Range  # of an inference, or of a second
    steps: Positive = 1
    duration_s: float = Field(gt=0)
    layers: tuple[CaseLayer, ...] = ()
    why: str | None = Field(default=None, max_length=300)  # what is likely missing where a prediction fails


class EnergyCase(Strict):
    """Holds measurements of one publication and the prices that should predict them.

    `compare` says how: "prices" as they stand; "left_out_line" by a line of power over events, fitted anew to the
    other points of the target; "left_out_offset" by prices and a fixed energy fitted to the other points here.
    """

    title: str = Field(max_length=100)
    about: str = Field(max_length=600)
    targets: tuple[str, ...] = Field(min_length=1)
    part: Literal["dynamic", "static", "whole"]
    per: Literal["inference", "second"]
    compare: Literal["prices", "left_out_line", "left_out_offset"]
    points: tuple[CasePoint, ...] = Field(min_length=1)
    source: str = Field(min_length=3, max_length=500)
    mark: Mark
    network: str = Field(min_length=3, max_length=500)  # where sizes and activity come from
    network_mark: Mark
    why: str = Field(max_length=300)
