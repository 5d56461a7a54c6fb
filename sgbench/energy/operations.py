"""How many of every operation a target has to do, in each layer of a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sgbench.energy.interval import BoundedValue, exactly
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

TRANSPORT: tuple[Operation, ...] = ("spike_message", "hop_east_west", "hop_north_south")


@dataclass(frozen=True)
class OperationCount:
    """Says how often one operation occurs in one layer over the test set, or why that is unknown."""

    operation: Operation
    layer: str
    location: str  # the layer, or "source to layer", for messages
    count: BoundedValue | None
    reason: str | None = None


def operation_counts(
    counts: OpCounts, traffic: dict[str, Traffic], *, wanted: frozenset[str] | None = None
) -> Iterator[OperationCount]:
    """Yield every operation that a layer does, or may do; messages and hops where layers are placed on a chip.

    Args:
        counts: of the network.
        traffic: of each layer's spikes, where it is known.
        wanted: operations that somebody asks for; None: all.
    """
    for layer in counts.layers:
        for operation, location, needed, factor in _asked(layer):
            if needed.total != 0 and (wanted is None or operation in wanted):
                total = None if needed.total is None else exactly(needed.total * factor)
                yield OperationCount(operation, layer.name, location, total, needed.reason)
        if layer.name in traffic:
            moved = traffic[layer.name]
            for operation, count in zip(
                TRANSPORT, (moved.messages, moved.east_west, moved.north_south), strict=True
            ):
                yield OperationCount(operation, layer.name, layer.name, count)
    yield OperationCount("step", counts.layers[0].name, "the network", exactly(counts.steps))


def _asked(layer: LayerCounts) -> Iterator[tuple[Operation, str, Count, float]]:
    """Yield each operation of a layer with its location, its count, and the weight of one count: bits of a word."""
    for group in layer.synapses:
        location = f"{group.source} to {layer.name}"
        yield group.operation, location, group.effective, 1
        yield "dense_operation", location, group.dense, 1
        yield "event_state_read", location, group.effective, layer.state_bits
        yield "event_state_write", location, group.effective, layer.state_bits
        yield "event_address", location, group.effective, 1
    for operation, field in LAYER_FIELDS.items():
        count = getattr(layer, field)
        if count is not None:
            yield operation, layer.name, count, 1
    yield "neuron_update_idle", layer.name, _idle(layer), 1
    wide = max(
        (group.weight_bits for group in layer.synapses), default=0
    )  # a bias has the width of the weights
    yield "weight_read", layer.name, layer.weight_reads, wide
    yield "state_read", layer.name, layer.state_reads, layer.state_bits
    yield "state_write", layer.name, layer.state_writes, layer.state_bits


def _idle(layer: LayerCounts) -> Count:
    """Return the updates of neurons that nothing reached, or why that is unknown."""
    for updates in (layer.neuron_updates, layer.neuron_updates_with_input):
        if updates.total is None:
            return updates
    idle = (layer.neuron_updates.total or 0) - (layer.neuron_updates_with_input.total or 0)
    return Count.model_construct(total=idle, reason=None)


def weight_bytes(layer: LayerCounts, steps: int) -> float | None:
    """Compute the bytes of a layer's weight memory; None where the size of a group is unknown."""
    sizes = [_group_bits(group, steps) for group in layer.synapses]
    return None if None in sizes else sum(size or 0 for size in sizes) / 8


def _group_bits(group: SynapseCounts, steps: int) -> int | None:
    """Return the bits of a group's stored weights; None where their number is unknown."""
    weights = stored_weights(group, steps)
    return None if weights is None else weights * group.weight_bits


def state_bytes(layer: LayerCounts) -> float | None:
    """Compute the bytes of a layer's state memory: the words of one update, of every neuron."""
    if layer.state_reads.total is None or not layer.neuron_updates.total:
        return None if layer.state_reads.total is None else 0.0
    words = layer.state_reads.total / layer.neuron_updates.total
    return layer.neurons * words * layer.state_bits / 8


def narrowed(counts: OpCounts, bits: int | None) -> OpCounts:
    """Return counts of the same operations with weights and states of at most so many bits."""
    widths = [width for layer in counts.layers for width in (layer.state_bits, *_widths(layer))]
    if bits is None or max(widths) <= bits:
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


def _widths(layer: LayerCounts) -> Iterator[int]:
    """Yield the bits of a weight of each group."""
    return (group.weight_bits for group in layer.synapses)
