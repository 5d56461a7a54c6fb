"""What a rule takes to learn: numbers that it stores, products that it forms, and whose signals it needs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sgbench.errors import InputError
from sgbench.records.content import NEEDS, Need
from sgbench.records.counts import LayerCounts, OpCounts, SynapseCounts


class LayerSize(NamedTuple):
    """Counts a layer's neurons, inputs and synapses."""

    neurons: int
    states: int  # numbers that a neuron hands to the next step, its spike included
    from_input: int  # synapses
    from_layers: int
    within: int  # from its own neurons
    biases: int

    @property
    def synapses(self) -> int:
        """Count the synapses from the input, from other layers and within the layer."""
        return self.from_input + self.from_layers + self.within


class Sizes(NamedTuple):
    """Says how large a network and its batches are, the readout last."""

    layers: tuple[LayerSize, ...]
    steps: int
    cut: bool  # whether nothing goes back over recurrent spikes

    @property
    def hidden(self) -> tuple[LayerSize, ...]:
        """Return all layers but the readout."""
        return self.layers[:-1]

    @property
    def readout(self) -> LayerSize:
        """Return the last layer."""
        return self.layers[-1]

    @property
    def synapses(self) -> int:
        """Count the synapses of all layers."""
        return sum(layer.synapses for layer in self.layers)

    @property
    def between(self) -> int:
        """Count the synapses from one layer to another."""
        return sum(layer.from_layers for layer in self.layers)

    @property
    def crossed_within(self) -> int:
        """Count the recurrent synapses over which errors go back: none where these are cut."""
        return 0 if self.cut else sum(layer.within for layer in self.layers)

    @property
    def straight(self) -> int:
        """Count the weights from each output to each hidden neuron."""
        return self.readout.neurons * sum(layer.neurons for layer in self.hidden)

    @property
    def states(self) -> int:
        """Count the state variables of one step of one sample."""
        return sum(layer.neurons * layer.states for layer in self.layers)

    @property
    def within_layers(self) -> tuple[Need, ...]:
        """Return a layer's needs for credit over time: traces suffice where each neuron hears itself alone."""
        return (
            ("own_trace",) if not self.crossed_within else ("weights_of_others", "errors_of_others", "future")
        )


class Demand(NamedTuple):
    """Holds the memory and the products that a rule needs for one sample."""

    numbers: float  # remembered over all steps of it
    weight_products: float  # a step
    error_products: float  # a step
    needs: tuple[Need, ...]


def needs(*groups: Iterable[Need]) -> tuple[Need, ...]:
    """Combine needs, each once, in the order of the vocabulary.

    >>> needs(("future",), ("own_error", "future"))
    ('own_error', 'future')
    """
    there = {need for some in groups for need in some}
    return tuple(need for need in NEEDS if need in there)


def sizes_of(counts: OpCounts, *, steps: int, cut: bool) -> Sizes:
    """Read the sizes of a network from its operation counts.

    Raises:
        InputError: connections or states were not counted.
    """
    return Sizes(tuple(_layer(layer, counts.steps) for layer in counts.layers), steps, cut)


def _layer(layer: LayerCounts, steps: int) -> LayerSize:
    words = layer.state_reads.total
    if words is None:
        raise InputError(f"layer {layer.name}: {layer.state_reads.reason}")
    counts = [(group.source, _synapses(group, steps)) for group in layer.synapses]
    from_input = sum(count for source, count in counts if source == "input")
    within = sum(count for source, count in counts if source == layer.name)
    return LayerSize(
        neurons=layer.neurons,
        states=words // (layer.neurons * steps) + bool(layer.neuron_comparisons.total),
        from_input=from_input,
        from_layers=sum(count for _, count in counts) - from_input - within,
        within=within,
        biases=(layer.bias_additions.total or 0) // steps,
    )


def _synapses(group: SynapseCounts, steps: int) -> int:
    """Compute a group's number of synapses from the operations of a clocked machine."""
    if group.dense.total is None:
        raise InputError(f"connections from {group.source}: {group.dense.reason}")
    return group.dense.total // steps
