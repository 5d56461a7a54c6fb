"""What a network asks of a target: of every operation, how many in each layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sgbench.energy.interval import Interval, exactly
from sgbench.energy.placement import Traffic, stored_weights
from sgbench.records.counts import Count, LayerCounts, OpCounts, SynapseCounts
from sgbench.records.energy import Operation

LAYER_FIELDS: dict[Operation, str] = {
    "neuron_update": "neuron_updates",
    "neuron_update_with_input": "neuron_updates_with_input",
    "neuron_multiplication": "neuron_multiplications",
    "neuron_addition": "neuron_additions",
    "neuron_comparison": "neuron_comparisons",
    "function_evaluation": "function_evaluations",
    "spike_sent": "spikes_sent",
    "bias_addition": "bias_additions",
    "normalisation_operation": "normalisation_operations",
    "pooling_operation": "pooling_operations",
    "residual_addition": "residual_additions",
    "delay_operation": "delay_operations",
}
NEEDED: tuple[Operation, ...] = (
    "accumulate",
    "multiply_accumulate",
    "neuron_update",
    "neuron_multiplication",
    "neuron_addition",
    "neuron_comparison",
    "function_evaluation",
    "spike_sent",
    "bias_addition",
    "normalisation_operation",
    "pooling_operation",
    "residual_addition",
    "delay_operation",
)
"""Operations that every target has to price, to include elsewhere or to name as missing; others are offered."""


@dataclass(frozen=True)
class Demand:
    """How often one operation occurs in one layer over the test set, or why that is unknown."""

    operation: Operation
    layer: str
    place: str  # for messages
    count: Interval | None
    reason: str | None = None


def demands(counts: OpCounts, traffic: dict[str, Traffic]) -> Iterator[Demand]:
    """Every operation of every layer; messages and hops where layers have places on a chip."""
    for layer in counts.layers:
        for group in layer.synapses:
            place = f"{group.source} to {layer.name}"
            yield _counted(group.operation, layer.name, place, group.effective)
            yield _counted("dense_operation", layer.name, place, group.dense)
        for operation, field in LAYER_FIELDS.items():
            found = getattr(layer, field)
            if found is not None:
                yield _counted(operation, layer.name, layer.name, found)
        yield _counted("neuron_update_idle", layer.name, layer.name, _idle(layer))
        yield from _memory(layer)
        if layer.name in traffic:
            yield from _transport(layer.name, traffic[layer.name])
    first = counts.layers[0].name
    yield Demand("step", first, "the network", exactly(counts.steps))


def _counted(operation: Operation, layer: str, place: str, found: Count, *, each: float = 1) -> Demand:
    if found.total is None:
        return Demand(operation, layer, place, None, found.reason)
    return Demand(operation, layer, place, exactly(found.total * each))


def _idle(layer: LayerCounts) -> Count:
    for found in (layer.neuron_updates, layer.neuron_updates_with_input):
        if found.total is None:
            return found
    return Count(total=(layer.neuron_updates.total or 0) - (layer.neuron_updates_with_input.total or 0))


def _memory(layer: LayerCounts) -> Iterator[Demand]:
    """Bits that move; a bias has the width of the weights."""
    wide = max((group.weight_bits for group in layer.synapses), default=0)
    yield _counted("weight_read", layer.name, layer.name, layer.weight_reads, each=wide)
    yield _counted("state_read", layer.name, layer.name, layer.state_reads, each=layer.state_bits)
    yield _counted("state_write", layer.name, layer.name, layer.state_writes, each=layer.state_bits)
    for group in layer.synapses:
        place = f"{group.source} to {layer.name}"
        yield _counted("event_state_read", layer.name, place, group.effective, each=layer.state_bits)
        yield _counted("event_state_write", layer.name, place, group.effective, each=layer.state_bits)
        yield _counted("event_address", layer.name, place, group.effective)


def _transport(name: str, found: Traffic) -> Iterator[Demand]:
    yield Demand("spike_message", name, name, found.messages)
    yield Demand("hop_east_west", name, name, found.east_west)
    yield Demand("hop_north_south", name, name, found.north_south)


def weight_bytes(layer: LayerCounts, steps: int) -> float | None:
    """Size of a layer's memory of weights, where every group's is known."""
    sizes = [_group_bits(group, steps) for group in layer.synapses]
    return None if None in sizes else sum(size or 0 for size in sizes) / 8


def _group_bits(group: SynapseCounts, steps: int) -> int | None:
    weights = stored_weights(group, steps)
    return None if weights is None else weights * group.weight_bits


def state_bytes(layer: LayerCounts) -> float | None:
    """Size of a layer's memory of states: the words of one update, of every neuron."""
    if layer.state_reads.total is None or not layer.neuron_updates.total:
        return None if layer.state_reads.total is None else 0.0
    words = layer.state_reads.total / layer.neuron_updates.total
    return layer.neurons * words * layer.state_bits / 8


def narrowed(counts: OpCounts, bits: int | None) -> OpCounts:
    """The same operations with weights and states of at most so many bits."""
    if bits is None:
        return counts
    layers = tuple(
        layer.model_copy(
            update={
                "state_bits": min(bits, layer.state_bits),
                "synapses": tuple(
                    group.model_copy(update={"weight_bits": min(bits, group.weight_bits)})
                    for group in layer.synapses
                ),
            }
        )
        for layer in counts.layers
    )
    return counts.model_copy(update={"layers": layers})
