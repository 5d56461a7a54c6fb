"""Published energy measurements with the networks that were measured, on which prices are validated."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sgbench.records.base import Natural, Positive, Strict
from sgbench.records.energy import Mark


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
