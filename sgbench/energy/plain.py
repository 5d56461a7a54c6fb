"""Exact operation counts of baseline networks without spikes, in the form of those of spiking networks."""

from __future__ import annotations

from sgbench.energy.count import Kind, OperationCounter
from sgbench.energy.modules import ModuleCounter
from sgbench.networks.base import Network
from sgbench.networks.baseline import Baseline
from sgbench.records.counts import Count, LayerCounts, OpCounts
from sgbench.signals.spikes import dense
from sgbench.signals.trajectory import Batch, Trajectory


def counter_of(network: Network, input_kind: Kind, *, bits: int) -> OperationCounter | PlainCounter:
    """Return a counter for a network: `PlainCounter` for a baseline, else `OperationCounter`; bits: of a weight."""
    if isinstance(network, Baseline):
        return PlainCounter(network, input_kind, bits=bits)
    return OperationCounter(network, input_kind, bits=bits)


class PlainCounter:
    """Counts the operations of a baseline's torch layers in the valid steps of samples.

    A baseline that computes once on a whole sample counts as one step a sample; if it first sums its input over
    time, these additions count too. Values of 0 cause no effective operation, as in spiking networks.

    Args:
        network: the baseline.
        input_kind: whether the encoder's output is declared binary or real.
        bits: of a weight and of a state variable.
    """

    def __init__(self, network: Baseline, input_kind: Kind, *, bits: int) -> None:
        self.network = network
        self.bits = bits
        self.samples = self.steps = self.events = 0
        self.kind: Kind = "real" if network.sums_up else input_kind
        self.counter = ModuleCounter(network.chain(), input_kind=self.kind, bits=bits, fold_batch_norm=False)
        self.neurons = {layer.name: layer.neurons for layer in network.plain_layers}
        for layer in network.plain_layers:
            self.counter.names |= {layer.body: layer.name, layer.after: layer.name}

    def update(self, batch: Batch, trajectory: Trajectory) -> None:
        """Run the baseline on one batch, samples of equal length together, and add its operations.

        `trajectory` is not used; it is there as in `OperationCounter.update`.
        """
        x = dense(batch.x)
        for length in batch.lengths.unique().tolist():
            chosen = batch.lengths == length
            part = x[:length, chosen]
            network_input = self.network.first_input(part, batch.lengths[chosen])
            count = part.shape[1]
            steps = count * network_input.shape[0]
            self.samples += count
            self.steps += steps
            self.events += int(part.count_nonzero())
            self.counter(network_input, samples=count, steps=steps)

    def result(self) -> OpCounts:
        """Return the operations of all batches so far, with the names of the baseline's layers."""
        counts = self.counter.result()
        first, *rest = (self._layer(layer) for layer in counts.layers)
        if self.network.sums_up:
            first = first.model_copy(update={"neuron_additions": Count(total=self.events)})
        return counts.model_copy(update={"input_events": Count(total=self.events), "layers": (first, *rest)})

    def _layer(self, layer: LayerCounts) -> LayerCounts:
        """Return a module's counts with the name and neurons of its layer, each neuron updated in each step."""
        name = _plain(layer.name)
        neurons = self.neurons[name]
        updates = Count(total=neurons * self.steps)
        groups = tuple(group.model_copy(update={"source": _plain(group.source)}) for group in layer.synapses)
        return layer.model_copy(
            update={
                "name": name,
                "neurons": neurons,
                "synapses": groups,
                "neuron_updates": updates,
                "neuron_updates_with_input": updates,
            }
        )


def _plain(name: str) -> str:
    """Remove the suffix with which `ModuleCounter` marks the first layer of a recurrent module."""
    return name.removesuffix(".l0")
