"""Counts of every operation with a possible price, in each layer of a network."""

from collections.abc import Iterator
from dataclasses import dataclass

from sgbench.energy.interval import BoundedValue, exactly
from sgbench.energy.placement import Traffic, stored_weights
from sgbench.records.counts import Count, LayerCounts, OpCounts
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
    *("accumulate", "multiply_accumulate"),
    *(operation for operation in LAYER_FIELDS if operation != "neuron_update_with_input"),
)
"""Operations that every target must price, include in another price or name as missing; others are optional."""

TRANSPORT: tuple[Operation, ...] = ("spike_message", "hop_east_west", "hop_north_south")
"""Operations of the network that connects a chip's cores: a message, and its hops from tile to tile."""


@dataclass(frozen=True)
class OperationCount:
    """Holds how often one operation occurs in one layer over the test set."""

    operation: Operation
    layer: str
    location: str  # the layer, or "SOURCE to LAYER", for error messages
    count: BoundedValue | None  # None if unknown
    reason: str | None = None  # why the count is unknown


def operation_counts(
    counts: OpCounts, traffic: dict[str, Traffic], *, wanted: frozenset[str] | None = None
) -> Iterator[OperationCount]:
    """Yield the count of every operation in each layer, except counts of 0; last the number of time steps.

    `traffic`: maps layers to the messages and hops of their spikes; empty without a chip. `wanted`: operations to
    yield; None for all.
    """
    for layer in counts.layers:
        for operation, location, count, factor in _layer_operations(layer):
            if count.total != 0 and (wanted is None or operation in wanted):
                total = None if count.total is None else exactly(count.total * factor)
                yield OperationCount(operation, layer.name, location, total, count.reason)
        if layer.name in traffic:
            moves = traffic[layer.name]
            for operation, number in zip(TRANSPORT, (moves.messages, moves.east_west, moves.north_south), strict=True):
                yield OperationCount(operation, layer.name, layer.name, number)
    yield OperationCount("step", counts.layers[0].name, "the network", exactly(counts.steps))


def _layer_operations(layer: LayerCounts) -> Iterator[tuple[Operation, str, Count, float]]:
    """Yield (operation, location, count, factor) for each operation of a layer.

    The factor converts reads and writes of words to bits; it is 1 for other operations.
    """
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
    weight_bits = max((group.weight_bits for group in layer.synapses), default=0)  # also of a bias
    yield "weight_read", layer.name, layer.weight_reads, weight_bits
    yield "state_read", layer.name, layer.state_reads, layer.state_bits
    yield "state_write", layer.name, layer.state_writes, layer.state_bits


def _idle(layer: LayerCounts) -> Count:
    """Return the number of neuron updates without an input event, or why it is unknown."""
    for updates in (layer.neuron_updates, layer.neuron_updates_with_input):
        if updates.total is None:
            return updates
    idle = (layer.neuron_updates.total or 0) - (layer.neuron_updates_with_input.total or 0)
    return Count.model_construct(total=idle, reason=None)


def weight_bytes(layer: LayerCounts, steps: int) -> float | None:
    """Compute the size of a layer's weight memory [bytes]; None if unknown; steps: of all samples counted."""
    stored = [stored_weights(group, steps) for group in layer.synapses]
    if None in stored:
        return None
    return sum((weights or 0) * group.weight_bits for weights, group in zip(stored, layer.synapses, strict=True)) / 8


def state_bytes(layer: LayerCounts) -> float | None:
    """Compute the size of a layer's state memory [bytes]: state words of an update times neurons; None: unknown."""
    if layer.state_reads.total is None:
        return None
    if not layer.neuron_updates.total:
        return 0.0
    words_per_update = layer.state_reads.total / layer.neuron_updates.total
    return layer.neurons * words_per_update * layer.state_bits / 8


def narrowed(counts: OpCounts, bits: int | None) -> OpCounts:
    """Return the same counts with weights and states of at most `bits` bits; None changes nothing."""
    widths = [layer.state_bits for layer in counts.layers]
    widths += [group.weight_bits for layer in counts.layers for group in layer.synapses]
    if bits is None or max(widths) <= bits:
        return counts
    layers = tuple(
        layer.model_copy(
            update={
                "state_bits": min(bits, layer.state_bits),
                "synapses": tuple(
                    group.model_copy(update={"weight_bits": min(bits, group.weight_bits)}) for group in layer.synapses
                ),
            }
        )
        for layer in counts.layers
    )
    return counts.model_copy(update={"layers": layers})
