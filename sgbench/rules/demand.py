"""The cost of learning by a rule: numbers stored, products computed, and signals of other neurons needed."""

from collections.abc import Iterable
from typing import NamedTuple

from sgbench.errors import InputError
from sgbench.records.content import NEEDS, Need
from sgbench.records.counts import LayerCounts, OpCounts, SynapseCounts


class LayerSize(NamedTuple):
    """Counts a layer's neurons and synapses."""

    neurons: int
    states: int  # numbers that one neuron carries to the next step, its spike included
    from_input: int  # synapses from the network's input
    from_layers: int  # synapses from other layers
    within: int  # recurrent synapses among its neurons
    biases: int

    @property
    def synapses(self) -> int:
        """Count the synapses from the input, from other layers and within the layer."""
        return self.from_input + self.from_layers + self.within


class Sizes(NamedTuple):
    """Holds the sizes of a network's layers and the number of time steps."""

    layers: tuple[LayerSize, ...]  # the readout last
    steps: int
    cut: bool  # whether no gradient flows back over recurrent spikes

    @property
    def hidden(self) -> tuple[LayerSize, ...]:
        """Return all layers but the readout."""
        return self.layers[:-1]

    @property
    def readout(self) -> LayerSize:
        """Return the size of the last layer."""
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
        """Count the recurrent synapses over which errors flow back; 0 if their gradient is cut."""
        return 0 if self.cut else sum(layer.within for layer in self.layers)

    @property
    def direct(self) -> int:
        """Count the feedback weights from each output directly to each hidden neuron."""
        return self.readout.neurons * sum(layer.neurons for layer in self.hidden)

    @property
    def states(self) -> int:
        """Count the numbers that all neurons carry to the next step, for one sample."""
        return sum(layer.neurons * layer.states for layer in self.layers)

    @property
    def within_layers(self) -> tuple[Need, ...]:
        """Return the signals that exact learning over time within layers needs.

        A trace of each neuron suffices if no error flows back over recurrent synapses.
        """
        if not self.crossed_within:
            return ("own_trace",)
        return ("weights_of_others", "errors_of_others", "future")


class Demand(NamedTuple):
    """Holds the memory, the products and the signals that a rule needs to learn from one sample."""

    numbers: float  # numbers stored at once
    weight_products: float  # products per step that update weights or traces
    error_products: float  # products per step that send errors back
    needs: tuple[Need, ...]  # signals of other neurons that each synapse needs


def needs(*groups: Iterable[Need]) -> tuple[Need, ...]:
    """Combine groups of needs, each need once, in the order of `NEEDS`.

    >>> needs(("future",), ("own_error", "future"))
    ('own_error', 'future')
    """
    wanted = {need for group in groups for need in group}
    return tuple(need for need in NEEDS if need in wanted)


def sizes_of(counts: OpCounts, *, steps: int, cut: bool) -> Sizes:
    """Compute the sizes of a network from its operation counts.

    `counts`: operations counted in some steps of one sample. `steps`: number of time steps of the run. `cut`: whether
    no gradient flows back over recurrent spikes.
    """
    layers = tuple(_layer_size(layer, counts.steps) for layer in counts.layers)
    return Sizes(layers=layers, steps=steps, cut=cut)


def _layer_size(layer: LayerCounts, steps: int) -> LayerSize:
    """Compute a layer's size from the operations counted in so many steps of one sample."""
    reads = layer.state_reads.total
    if reads is None:
        raise InputError(f"layer {layer.name}: {layer.state_reads.reason}")
    counts = [(group.source, _count_synapses(group, steps)) for group in layer.synapses]
    from_input = sum(count for source, count in counts if source == "input")
    within = sum(count for source, count in counts if source == layer.name)
    return LayerSize(
        neurons=layer.neurons,
        states=reads // (layer.neurons * steps) + bool(layer.neuron_comparisons.total),  # 1 for the spike
        from_input=from_input,
        from_layers=sum(count for _, count in counts) - from_input - within,
        within=within,
        biases=(layer.bias_additions.total or 0) // steps,
    )


def _count_synapses(group: SynapseCounts, steps: int) -> int:
    """Count the synapses of a group, which a dense step all uses once."""
    if group.dense.total is None:
        raise InputError(f"connections from {group.source}: {group.dense.reason}")
    return group.dense.total // steps
