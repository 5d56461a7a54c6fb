"""A price list: what one operation costs on one target, with its evidence."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sgbench.records.base import Strict

Operation = Literal[
    "accumulate",
    "multiply_accumulate",
    "neuron_update",
    "neuron_multiplication",
    "neuron_addition",
    "neuron_comparison",
    "spike_sent",
    "bias_addition",
]


class Evidence(Strict):
    """Where a number comes from and how far it can be trusted."""

    scope: Literal["per_op", "marginal", "all_in", "static"]
    basis: Literal["simulated", "measured", "fitted"]
    node_nm: float | None = Field(gt=0)
    voltage_v: float | None = Field(gt=0)
    source: str = Field(min_length=3, max_length=500)
    mark: Literal["verified", "secondary", "derived", "memory"]


class Price(Evidence):
    """Energy of one operation [pJ], as an interval."""

    operation: Operation
    value_pj: float = Field(ge=0)
    low_pj: float = Field(ge=0)
    high_pj: float = Field(ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Price:
        if not self.low_pj <= self.value_pj <= self.high_pj:
            raise ValueError(f"{self.operation}: low_pj <= value_pj <= high_pj is needed")
        if self.scope == "static":
            raise ValueError(f"{self.operation}: an operation's price cannot be of scope static")
        return self


class StaticPower(Evidence):
    """Power drawn whatever the activity [mW], charged for the duration of an inference."""

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


class EnergyTarget(Strict):
    """One target: its prices, its static power, and the terms that nobody has published."""

    name: str = Field(pattern=r"^[a-z0-9_]+$", max_length=40)
    title: str = Field(max_length=100)
    about: str = Field(max_length=500)
    prices: tuple[Price, ...] = Field(min_length=1)
    included_elsewhere: tuple[Operation, ...]  # operations that another price already contains
    static: StaticPower | None
    missing: tuple[str, ...]  # named terms without a price

    @model_validator(mode="after")
    def _each_once(self) -> EnergyTarget:
        names = [price.operation for price in self.prices] + list(self.included_elsewhere)
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"priced twice: {', '.join(doubled)}")
        scopes = {price.scope for price in self.prices}
        if "all_in" in scopes and len(self.prices) > 1:
            raise ValueError("an all_in price already contains every other term: it must stand alone")
        return self
