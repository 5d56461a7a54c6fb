"""What a chip can hold: limits against which a network is fitted."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sgbench.records.base import Positive, Strict


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
