"""Placement of layers on the cores of a chip, and the messages and hops of spikes between cores."""

import math
from dataclasses import dataclass

from sgbench.energy.interval import BoundedValue
from sgbench.records.counts import LayerCounts, OpCounts, SynapseCounts
from sgbench.records.energy import Chip


@dataclass(frozen=True)
class Piece:
    """Holds the range of cores on which one layer lies."""

    layer: str
    first_core: int
    cores: int  # number of cores
    decides: str  # the limit of the chip that requires so many


@dataclass(frozen=True)
class Traffic:
    """Holds the messages between cores that carry one layer's spikes, summed over the test set."""

    messages: BoundedValue
    east_west: BoundedValue  # hops to the next tile
    north_south: BoundedValue  # hops to the next tile


def synapse_count(group: SynapseCounts, steps: int) -> int | None:
    """Return the number of connections of a group: dense operations divided by steps; None if not counted."""
    return None if group.dense.total is None else group.dense.total // steps


def stored_weights(group: SynapseCounts, steps: int) -> int | None:
    """Return the number of weights that a group stores, in counts over so many steps; None if unknown.

    Unless recorded, it is the number of connections; a convolution shares weights, so its number is unknown.
    """
    if group.weights is not None:
        return group.weights
    return None if group.wiring == "convolution" else synapse_count(group, steps)


def place(counts: OpCounts, chip: Chip) -> tuple[Piece, ...]:
    """Assign the layers to as few cores as the chip's limits allow, one layer after another.

    A core belongs to one layer, unless the chip states that layers share cores: then all lie on the same cores. A
    layer whose synapses were not counted is placed by its number of neurons alone.
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
    """Return how many cores these layers need together, and the name of the limit that requires so many."""
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
    """Compute the memory of a layer's synapses [bits]: synapses times bits of a weight; None if not counted.

    A weight takes the bits of the layer's widest group, at most those of the chip's weights.
    """
    synapses = [synapse_count(group, steps) for group in layer.synapses]
    bits = max((group.weight_bits for group in layer.synapses), default=1)
    if None in synapses:
        return None
    return sum(group_synapses or 0 for group_synapses in synapses) * min(bits, chip.weight_bits or bits)


def last_core(pieces: tuple[Piece, ...]) -> int:
    return max(piece.first_core + piece.cores for piece in pieces) - 1


def chips_needed(pieces: tuple[Piece, ...], chip: Chip) -> int:
    """Return how many chips hold all pieces; 1 if the number of cores of a chip is unknown."""
    return 1 if chip.cores is None else math.ceil((last_core(pieces) + 1) / chip.cores)


def traffic(counts: OpCounts, chip: Chip, pieces: tuple[Piece, ...]) -> dict[str, Traffic]:
    """Map each layer to the messages and hops of its spikes under a placement; input from outside does not count.

    A spike is one message to every core of the layers that receive it, first east-west, then north-south. The value
    assumes that spikes come evenly from a layer's cores. At the low bound all cores are on one tile; at the high
    bound every message crosses the whole mesh.
    """
    piece_of = {piece.layer: piece for piece in pieces}
    by_layer: dict[str, Traffic] = {}
    for layer in counts.layers:
        receivers = [
            (piece_of[receiver.name], group.wiring)
            for receiver in counts.layers
            for group in receiver.synapses
            if group.source == layer.name
        ]
        spikes = layer.spikes_sent.total or 0
        by_layer[layer.name] = _traffic(piece_of[layer.name], receivers, spikes, chip, pieces)
    return by_layer


def _traffic(
    source: Piece, receivers: list[tuple[Piece, str]], spikes: int, chip: Chip, pieces: tuple[Piece, ...]
) -> Traffic:
    """Return the messages and hops of one layer's spikes."""
    routes = [  # pairs of cores
        (core, receiver)
        for piece, wiring in receivers
        for core in _cores(source)
        for receiver in ((core,) if wiring == "one_to_one" else _cores(piece))
    ]
    spikes_per_core = spikes / source.cores
    messages = spikes_per_core * len(routes)
    east_west, north_south = (
        spikes_per_core * sum(abs(_tile(a, chip)[axis] - _tile(b, chip)[axis]) for a, b in routes) for axis in (0, 1)
    )
    width = chip.tiles_east_west or 1
    height = _tile(max(last_core(pieces), (chip.cores or 1) - 1), chip)[1] + 1
    return Traffic(
        messages=BoundedValue(messages, messages, messages),
        east_west=BoundedValue(east_west, 0.0, max(east_west, messages * (width - 1))),
        north_south=BoundedValue(north_south, 0.0, max(north_south, messages * (height - 1))),
    )


def _cores(piece: Piece) -> range:
    return range(piece.first_core, piece.first_core + piece.cores)


def _tile(core: int, chip: Chip) -> tuple[int, int]:
    """Return column and row of the tile that a core lies on."""
    tile = core // chip.cores_per_tile
    width = chip.tiles_east_west or 1
    return tile % width, tile // width
