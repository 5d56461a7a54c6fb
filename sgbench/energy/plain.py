"""Exact operation counts of networks without spikes, in the form of those of spiking ones."""

from __future__ import annotations

from sgbench.energy.count import Kind, OperationCounter
from sgbench.energy.modules import ModuleCounter
from sgbench.networks.base import Network
from sgbench.networks.baseline import Baseline
from sgbench.records.counts import Count, LayerCounts, OpCounts
from sgbench.signals.spikes import dense
from sgbench.signals.trajectory import Batch, Trajectory


def counter_of(network: Network, input_kind: Kind, *, bits: int) -> OperationCounter | PlainCounter:
    """Choose what counts the operations of a network."""
    if isinstance(network, Baseline):
        return PlainCounter(network, input_kind, bits=bits)
    return OperationCounter(network, input_kind, bits=bits)


class PlainCounter:
    """Counts what torch's layers of a baseline do, up to each sample's length.

    A network that sees a sample once is one step a sample, after the additions that sum its input up where it sees
    counts. A value of zero triggers nothing in the effective counts, as of a spiking network.
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
        """Add one batch, the samples of each length by themselves."""
        x = dense(batch.x)
        for length in batch.lengths.unique().tolist():
            chosen = batch.lengths == length
            part = x[:length, chosen]
            seen = self.network.seen(part, batch.lengths[chosen])
            count = part.shape[1]
            steps = count * seen.shape[0]
            self.samples += count
            self.steps += steps
            self.events += int(part.count_nonzero())
            self.counter(seen, samples=count, steps=steps)

    def result(self) -> OpCounts:
        """Return the operations counted so far, under the layers' own names."""
        counts = self.counter.result()
        first, *rest = (self._layer(layer) for layer in counts.layers)
        if self.network.sums_up:
            first = first.model_copy(update={"neuron_additions": Count(total=self.events)})
        return counts.model_copy(update={"input_events": Count(total=self.events), "layers": (first, *rest)})

    def _layer(self, layer: LayerCounts) -> LayerCounts:
        """Move a layer's counts under the layer's own name; every unit is updated in every step."""
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
    """Rename layer l0 of a recurrent module to the name that torch's own calls have."""
    return name.removesuffix(".l0")
