"""Layers on the cores of a chip, and how far spikes then travel."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sgbench.energy.interval import BoundedValue
from sgbench.records.counts import LayerCounts, OpCounts, SynapseCounts
from sgbench.records.energy import Chip


@dataclass(frozen=True)
class Piece:
    """Holds the cores of one layer, consecutive in the order of layers."""

    layer: str
    first_core: int
    cores: int
    decides: str  # which limit makes it so many


@dataclass(frozen=True)
class Traffic:
    """Holds what one layer's spikes become on the way, summed over the test set."""

    messages: BoundedValue
    east_west: BoundedValue
    north_south: BoundedValue


def synapse_count(group: SynapseCounts, steps: int) -> int | None:
    """Count the connections of a group whose dense operations were counted: each is served once a step."""
    return None if group.dense.total is None else group.dense.total // steps


def stored_weights(group: SynapseCounts, steps: int) -> int | None:
    """Count the numbers that a group stores; a convolution's are known only where they were recorded."""
    if group.weights is not None:
        return group.weights
    return None if group.wiring == "convolution" else synapse_count(group, steps)


def place(counts: OpCounts, chip: Chip) -> tuple[Piece, ...]:
    """Put the layers on as few cores as the limits allow, one layer after another.

    A core belongs to one layer unless the chip says that layers share; then they lie together from the first core
    on. A layer whose synapses were not counted is cut by its neurons alone.
    """
    if chip.layers_share:
        cores, decides = _cores_for(counts.layers, counts.steps, chip)
        return tuple(Piece(layer.name, 0, cores, decides) for layer in counts.layers)
    pieces: list[Piece] = []
    first = 0
    for layer in counts.layers:
        cores, decides = _cores_for((layer,), counts.steps, chip)
        pieces.append(Piece(layer.name, first, cores, decides))
        first += cores
    return tuple(pieces)


def _cores_for(layers: tuple[LayerCounts, ...], steps: int, chip: Chip) -> tuple[int, str]:
    """Return how many cores some layers take together, and the limit that makes it so many."""
    needs = [(1, "one at least")]
    if chip.neurons_per_core is not None:
        neurons = sum(layer.neurons for layer in layers)
        needs.append((math.ceil(neurons / chip.neurons_per_core), "neurons_per_core"))
    bits = [synapse_bits(layer, steps, chip) for layer in layers]
    if chip.synapse_bits_per_core is not None and None not in bits:
        stored = sum(layer_bits or 0 for layer_bits in bits)
        needs.append((math.ceil(stored / chip.synapse_bits_per_core), "synapse_bits_per_core"))
    return max(needs, key=lambda need: need[0])


def synapse_bits(layer: LayerCounts, steps: int, chip: Chip) -> int | None:
    """Compute the memory of a layer's synapses [bits]; None where they were not counted.

    Every weight counts as wide as those of the layer's widest group, and at most as the chip's widest.

    Args:
        layer: what was counted of the layer.
        steps: time steps counted, by which dense operations are divided to give synapses.
        chip: its widest weight.
    """
    synapses = [synapse_count(group, steps) for group in layer.synapses]
    wide = max((group.weight_bits for group in layer.synapses), default=1)
    if None in synapses:
        return None
    return sum(layer_synapses or 0 for layer_synapses in synapses) * min(wide, chip.weight_bits or wide)


def last_core(pieces: tuple[Piece, ...]) -> int:
    """Return the number of the last core in use."""
    return max(piece.first_core + piece.cores for piece in pieces) - 1


def chips_needed(pieces: tuple[Piece, ...], chip: Chip) -> int:
    """Return how many chips hold the pieces; one where the number of cores is not known."""
    return 1 if chip.cores is None else math.ceil((last_core(pieces) + 1) / chip.cores)


def traffic(counts: OpCounts, chip: Chip, pieces: tuple[Piece, ...]) -> dict[str, Traffic]:
    """Count the messages and hops of each layer's spikes under this placement.

    A spike goes to every core of a layer that listens to its own, one message each, first east-west and then
    north-south. The value takes spikes to come evenly from a layer's cores; the low end has everything on one
    tile, the high end every message cross the whole mesh. Input from outside the chip is not in it.
    """
    where = {piece.layer: piece for piece in pieces}
    by_layer: dict[str, Traffic] = {}
    for layer in counts.layers:
        receivers = [
            (where[other.name], group.wiring)
            for other in counts.layers
            for group in other.synapses
            if group.source == layer.name
        ]
        spikes = layer.spikes_sent.total or 0
        by_layer[layer.name] = _traffic(where[layer.name], receivers, spikes, chip, pieces)
    return by_layer


def _traffic(
    source: Piece, receivers: list[tuple[Piece, str]], spikes: int, chip: Chip, pieces: tuple[Piece, ...]
) -> Traffic:
    """Return the messages and hops that the spikes of one layer cause."""
    routes = [
        (core, other)
        for piece, wiring in receivers
        for core in _cores(source)
        for other in ((core,) if wiring == "one_to_one" else _cores(piece))
    ]
    spikes_a_core = spikes / source.cores
    messages = spikes_a_core * len(routes)
    east_west, north_south = (
        spikes_a_core * sum(abs(_tile(a, chip)[axis] - _tile(b, chip)[axis]) for a, b in routes)
        for axis in (0, 1)
    )
    width, height = _mesh(chip, last_core(pieces))
    return Traffic(
        messages=BoundedValue(messages, messages, messages),
        east_west=BoundedValue(east_west, 0.0, max(east_west, messages * (width - 1))),
        north_south=BoundedValue(north_south, 0.0, max(north_south, messages * (height - 1))),
    )


def _cores(piece: Piece) -> range:
    return range(piece.first_core, piece.first_core + piece.cores)


def _tile(core: int, chip: Chip) -> tuple[int, int]:
    """Return the east-west and north-south position of a core's tile."""
    tile = core // chip.cores_per_tile
    width = chip.tiles_east_west or 1
    return tile % width, tile // width


def _mesh(chip: Chip, last_core: int) -> tuple[int, int]:
    """Return the number of tiles along both sides of the mesh, of one chip at least."""
    last = max(last_core, (chip.cores or 1) - 1)
    return chip.tiles_east_west or 1, _tile(last, chip)[1] + 1
