"""Exact operation counts from real spikes, streamed over batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sgbench.energy.convolution import Arriving, Fans, count_convolution
from sgbench.energy.per_sample import Came, PerSample, count_events, one_step_later, spread, within
from sgbench.energy.tally import StoredWeights, stored
from sgbench.errors import InputError
from sgbench.networks.base import DenseLayer, Network, Source
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.pool import Pool
from sgbench.networks.population import PopulationLayer
from sgbench.neurons.base import Neuron
from sgbench.records.counts import Count, LayerCounts, OpCounts, SynapseCounts, Wiring
from sgbench.signals.spikes import Signal, dense
from sgbench.signals.trajectory import Batch, Trajectory

Kind = Literal["binary", "real"]
Counted = DenseLayer | ConvLayer | PopulationLayer


class OperationCounter:
    """Counts what an event-driven and what a clocked machine would execute, up to each sample's length.

    An input that is not zero triggers one operation per synapse it reaches: an addition where the source
    declares binary output, a multiplication and addition where it declares real output. A spike of a sample's
    last step reaches no recurrent synapse any more. All totals are integers, so batches, their order and the
    device change nothing.

    Args:
        network: whose layers are counted.
        input_kind: what the encoder declares.
        bits: width of a state variable, and of a weight whose layer does not quantise it.
    """

    def __init__(self, network: Network, input_kind: Kind, *, bits: int) -> None:
        self.layers: list[Counted] = [*network.hidden_layers, network.readout]
        self.input_kind: Kind = input_kind
        self.bits = bits
        self.samples = 0
        self.steps = 0
        self.totals: list[Counter[str]] = [Counter() for _ in self.layers]
        self.squares: Counter[str] = Counter()  # of each sample's totals, summed over samples
        # Which synapses an input of a convolution reaches.
        self.fans = {layer: Fans.of(layer) for layer in self.layers if isinstance(layer, ConvLayer)}
        self.sources = [
            after_pooling(layer.pool_in, source)
            for layer, source in zip(self.layers, network.sources(input_kind), strict=True)
        ]
        self.received = network.received  # computes each layer's input from the batch and all spikes

    def update(self, batch: Batch, trajectory: Trajectory) -> None:
        """Count the operations of one batch, whose trajectory must hold its spikes."""
        valid = within(batch.lengths, batch.x.shape[0])
        self.samples += len(batch.lengths)
        self.steps += int(batch.lengths.sum())
        spikes = iter(trajectory.spikes)
        sent = [next(spikes) if layer.neuron.output == "binary" else None for layer in self.layers]
        per_sample = PerSample(len(batch.lengths))
        came = _Signals(batch.lengths)
        received = self.received(batch.x, sent)
        for layer, total, signal, source, own in zip(
            self.layers, self.totals, received, self.sources, sent, strict=True
        ):
            if signal is None:
                raise InputError(f"layer '{source.name}' does not fire: what it sends on cannot be counted")
            arrived = signal if layer.pool_in is None else layer.pool_in(dense(signal))
            fired = None if own is None else came.of(own)
            if isinstance(layer, ConvLayer):
                arriving = Arriving(arrived, own, valid)
                count_convolution(layer, self.fans[layer], arriving, total, per_sample)
            _count(layer, came.of(arrived), fired, valid, total, per_sample)
        per_sample.add_squares(self.squares)

    def result(self) -> OpCounts:
        """Return the operations counted so far, by layer."""
        return OpCounts(
            samples=self.samples,
            steps=self.steps,
            input_events=Count(total=self.totals[0]["events"]),
            spread=spread(self.squares),
            layers=tuple(
                self._layer(layer, total, source.name, source.kind)
                for layer, total, source in zip(self.layers, self.totals, self.sources, strict=True)
            ),
        )

    def _layer(self, layer: Counted, total: Counter[str], source: str, kind: Kind) -> LayerCounts:
        """Build the record's counts per inference of one layer from its operation totals over all samples."""
        neurons = layer.neurons
        synapses = tuple(self._groups(layer, total, source, kind))
        updates = self.steps * neurons
        operations = layer.neuron.operations
        # Biases are read in every step, weights where an event arrives.
        biases = self.steps * layer.biases
        reads = biases + sum(group.effective.total or 0 for group in synapses)
        return LayerCounts(
            name=layer.name,
            neuron=type(layer.neuron).__name__,
            neurons=neurons,
            state_bits=self.bits,
            synapses=synapses,
            neuron_updates=Count(total=updates),
            neuron_updates_with_input=Count(total=total["reached"]),
            neuron_multiplications=Count(total=updates * operations.multiplications),
            neuron_additions=Count(total=updates * operations.additions),
            neuron_comparisons=Count(total=updates * operations.comparisons),
            spikes_sent=Count(total=total["spikes"]),
            bias_additions=Count(total=biases),
            weight_reads=Count(total=reads),
            state_reads=Count(total=updates * operations.state_words),
            state_writes=Count(total=updates * operations.state_words),
            normalisation_operations=Count(total=self.steps * layer.normalisation_operations),
            pooling_operations=Count(total=self.steps * layer.pooling_operations),
            residual_additions=Count(total=self.steps * layer.residual_additions),
            delay_operations=Count(total=total["arriving"] + total["returning"] if layer.taps else 0),
            synapses_per_pair=_synapses_per_pair(layer),
            function_evaluations=Count(total=updates * operations.functions)
            if operations.functions
            else None,
        )

    def _groups(
        self, layer: Counted, total: Counter[str], source: str, kind: Kind
    ) -> Iterator[SynapseCounts]:
        """Yield the connections into a layer and those among its neurons, with their operations."""
        wiring, per_step = self._feed_forward(layer)
        bits = getattr(layer, "weight_bits", None) or self.bits
        kind = "real" if layer.taps > 1 else kind  # a delay spread over steps weights each of them
        yield self._synapses(source, wiring, kind, total["arriving"], per_step, stored(layer, "weight"), bits)
        if layer.recurrence != "none" and not isinstance(layer, PopulationLayer):
            wiring, per_step = self._recurrent(layer)
            spikes = layer.neuron.feeds_back == "spikes" and layer.taps <= 1
            kind = _spike_kind(layer.neuron) if spikes else "real"
            weights = stored(layer, "recurrent")
            yield self._synapses(layer.name, wiring, kind, total["returning"], per_step, weights, bits)

    def _feed_forward(self, layer: Counted) -> tuple[Wiring, int]:
        """Return how a layer is wired to its source, and synapses times the steps that an event spreads over."""
        if isinstance(layer, ConvLayer):
            return "convolution", self.fans[layer].into.total
        if isinstance(layer, PopulationLayer):
            return "one_to_one", layer.sums
        return "all_to_all", layer.weight.shape[1] * layer.fan_out

    def _recurrent(self, layer: DenseLayer | ConvLayer) -> tuple[Wiring, int]:
        """Return how a layer is wired to itself, and its recurrent synapses."""
        if isinstance(layer, ConvLayer):
            among = self.fans[layer].among
            own = layer.neurons * layer.neuron.currents
            return ("one_to_one", own) if among is None else ("convolution", among.total)
        wiring: Wiring = "all_to_all" if layer.recurrence == "all_to_all" else "one_to_one"
        return wiring, layer.neurons * recurrent_fan_out(layer)

    def _synapses(
        self,
        source: str,
        wiring: Wiring,
        kind: Kind,
        effective: int,
        per_step: int,
        weights: StoredWeights,
        bits: int,
    ) -> SynapseCounts:
        """Return the counts of one group of connections."""
        return SynapseCounts(
            source=source,
            wiring=wiring,
            operation="accumulate" if kind == "binary" else "multiply_accumulate",
            weight_bits=bits,
            effective=Count(total=effective),
            dense=Count(total=self.steps * per_step),
            weights=weights.numbers,
            zero_weights=weights.zeros,
        )


class _Signals:
    """Holds what signals bring up to each sample's length, counted once for each."""

    def __init__(self, lengths: Tensor) -> None:
        self.lengths = lengths
        self.counted: list[tuple[Signal, Came]] = []  # of the batch under way, which nothing changes

    def of(self, signal: Signal) -> Came:
        """Return the events of one signal, which are counted once."""
        for known, came in self.counted:
            if known is signal:
                return came
        self.counted.append((signal, count_events(signal, self.lengths)))
        return self.counted[-1][1]


def after_pooling(pool: Pool | None, source: Source) -> Source:
    """Return a source as the layer after a pool receives it: real where the pool averages spikes."""
    return source._replace(kind="real") if pool and pool.kind == "average" else source


def _spike_kind(neuron: Neuron) -> Kind:
    """Name what a spike causes: a signed one adds or subtracts a weight, a counted or graded one multiplies it."""
    return "binary" if neuron.sends in ("binary", "signed") else "real"


def _count(
    layer: Counted,
    events: Came,
    fired: Came | None,
    valid: NDArray[np.bool_] | None,
    total: Counter[str],
    per_sample: PerSample,
) -> None:
    """Add the operations of a layer in one batch, from the events that reach it and the spikes it sends."""
    total["events"] += events.total
    if fired is not None:
        total["spikes"] += fired.total
        per_sample.spikes_sent += fired.of_samples
    if isinstance(layer, DenseLayer):
        _count_dense(layer, events, fired, valid, total, per_sample)
    elif isinstance(layer, PopulationLayer):
        per_sample.add(total, "arriving", events.of_samples * (layer.population * layer.neuron.currents))
        total["reached"] += events.total * layer.population


def _count_dense(
    layer: DenseLayer,
    events: Came,
    fired: Came | None,
    valid: NDArray[np.bool_] | None,
    total: Counter[str],
    per_sample: PerSample,
) -> None:
    """Add what one batch makes a dense layer do, where every event reaches every neuron."""
    neurons = layer.neurons
    per_sample.add(total, "arriving", events.of_samples * layer.fan_out)
    if fired is None or layer.recurrence == "none":
        total["reached"] += events.steps * neurons
    else:
        reached = events.rows > 0
        alone = 0  # neurons reached by nothing but their own last spike
        values = layer.neuron.feeds_back == "potential"  # which are hardly ever 0
        late = one_step_later(np.full_like(fired.rows, neurons) if values else fired.rows, valid)
        per_sample.add(total, "returning", late.sum(0) * recurrent_fan_out(layer))
        if layer.recurrence == "all_to_all":
            reached |= late > 0
        else:
            alone = int(late[~reached].sum())
        total["reached"] += int(np.count_nonzero(reached)) * neurons + alone


def _synapses_per_pair(layer: Counted) -> int | None:
    """Count the synapses from one source to one neuron, where a dense layer has more than one."""
    several = isinstance(layer, DenseLayer) and layer.fan_out > layer.neurons
    return layer.fan_out // layer.neurons if several else None  # type: ignore[union-attr]


def recurrent_fan_out(layer: DenseLayer) -> int:
    """Count the synapses that one event of a layer reaches in the layer itself."""
    return layer.fan_out if layer.recurrence == "all_to_all" else layer.fan_out // layer.neurons
