"""Exact operation counts of spiking networks, accumulated over batches of real data."""

from collections import Counter
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fastspiking.signals.spikes import Signal, dense
from fastspiking.signals.trajectory import Batch, Trajectory
from sgbench.energy.convolution import (
    Arriving,
    Came,
    Fans,
    PerSample,
    count_convolution,
    count_events,
    one_step_later,
    spread,
    within,
)
from sgbench.energy.module_operations import StoredWeights, stored
from sgbench.errors import InputError
from sgbench.networks.base import DenseLayer, Network
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.encoded import PopulationLayer
from sgbench.records.counts import Count, LayerCounts, OpCounts, SynapseCounts, Wiring

Kind = Literal["binary", "real"]
Counted = DenseLayer | ConvLayer | PopulationLayer


class OperationCounter:
    """Counts the operations of an event-driven and of a clocked machine in the valid steps of samples.

    An input other than 0 ("event") causes one operation for each synapse that it reaches: an addition if the
    source's outputs are declared binary, a multiply-accumulate if real. A spike in a sample's last step reaches no
    recurrent synapse. All totals are integers, so the result depends on neither batches, order nor device.

    `input_kind`: whether the encoder's output is declared binary or real; `bits`: of a state variable, and of a weight
    that its layer does not quantise.
    """

    def __init__(self, network: Network, input_kind: Kind, *, bits: int) -> None:
        self.layers: list[Counted] = [*network.hidden_layers, network.readout]
        self.input_kind: Kind = input_kind
        self.bits = bits
        self.samples = 0
        self.steps = 0
        self.totals: list[Counter[str]] = [Counter() for _ in self.layers]  # by name, of each layer
        self.squares: Counter[str] = Counter()  # of each sample's counts, summed over samples
        # Maps each convolution to the synapses that an event at each input position reaches.
        self.fans = {layer: Fans.of(layer) for layer in self.layers if isinstance(layer, ConvLayer)}
        self.sources = [
            source._replace(kind="real") if layer.pool_in and layer.pool_in.kind == "average" else source
            for layer, source in zip(self.layers, network.sources(input_kind), strict=True)
        ]
        self.received = network.received  # returns each layer's input, given the network's and all spikes

    def update(self, batch: Batch, trajectory: Trajectory) -> None:
        """Add the operations of one batch, by what each layer received and sent [T, B, N] in valid steps."""
        valid = within(batch.lengths, batch.x.shape[0])
        self.samples += len(batch.lengths)
        self.steps += int(batch.lengths.sum())
        spikes = iter(trajectory.spikes)
        sent = [next(spikes) if layer.neuron.output == "binary" else None for layer in self.layers]
        per_sample = PerSample(len(batch.lengths))
        events = _EventCache(batch.lengths)
        received = self.received(batch.x, sent)
        for layer, total, signal, source, own_spikes in zip(
            self.layers, self.totals, received, self.sources, sent, strict=True
        ):
            if signal is None:
                raise InputError(f"layer '{source.name}' does not fire: what it sends on cannot be counted")
            pooled = signal if layer.pool_in is None else layer.pool_in(dense(signal))
            fired = None if own_spikes is None else events.of(own_spikes)
            if isinstance(layer, ConvLayer):
                arriving = Arriving(pooled, own_spikes, valid)
                count_convolution(layer, self.fans[layer], arriving, total, per_sample)
            _count(layer, events.of(pooled), fired, valid, total, per_sample)
        per_sample.add_squares(self.squares)

    def result(self) -> OpCounts:
        """Return the counts of all batches so far, layer by layer."""
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
        """Turn a layer's totals into its counts; `source` is the layer that it hears, `kind` whether by spikes."""
        neurons = layer.neurons
        synapses = tuple(self._groups(layer, total, source, kind))
        updates = self.steps * neurons
        operations = layer.neuron.operations
        # A bias is read in every step, a weight when an event arrives.
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
            function_evaluations=Count(total=updates * operations.functions) if operations.functions else None,
        )

    def _groups(self, layer: Counted, total: Counter[str], source: str, kind: Kind) -> Iterator[SynapseCounts]:
        """Yield the layer's feed-forward synapses, then its recurrent ones if it has any."""
        wiring, per_step = self._feed_forward(layer)
        bits = getattr(layer, "weight_bits", None) or self.bits
        kind = "real" if layer.taps > 1 else kind  # a delay spread over steps multiplies a spike in each
        yield self._synapses(source, wiring, kind, total["arriving"], per_step, stored(layer, "weight"), bits)
        if layer.recurrence != "none" and not isinstance(layer, PopulationLayer):
            wiring, per_step = self._recurrent(layer)
            sends_spikes = layer.neuron.feeds_back == "spikes" and layer.taps <= 1
            kind = "binary" if sends_spikes and layer.neuron.sends in ("binary", "signed") else "real"
            weights = stored(layer, "recurrent")
            yield self._synapses(layer.name, wiring, kind, total["returning"], per_step, weights, bits)

    def _feed_forward(self, layer: Counted) -> tuple[Wiring, int]:
        """Return the wiring to a layer, and how many synapses a step would use if all inputs sent events."""
        if isinstance(layer, ConvLayer):
            return "convolution", self.fans[layer].into.total
        if isinstance(layer, PopulationLayer):
            return "one_to_one", layer.sums
        return "all_to_all", layer.weight.shape[1] * layer.fan_out

    def _recurrent(self, layer: DenseLayer | ConvLayer) -> tuple[Wiring, int]:
        """Return the wiring among a layer's own neurons, and the synapses that a step uses if all neurons fire."""
        if isinstance(layer, ConvLayer):
            among = self.fans[layer].among
            to_itself = layer.neurons * layer.neuron.currents
            return ("one_to_one", to_itself) if among is None else ("convolution", among.total)
        wiring: Wiring = "all_to_all" if layer.recurrence == "all_to_all" else "one_to_one"
        return wiring, layer.neurons * recurrent_fan_out(layer)

    def _synapses(
        self, source: str, wiring: Wiring, kind: Kind, effective: int, per_step: int, weights: StoredWeights, bits: int
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


class _EventCache:
    """Counts the events of each signal of one batch once, however many layers receive it.

    `lengths`: valid steps of each sample [B].
    """

    def __init__(self, lengths: Tensor) -> None:
        self.lengths = lengths
        self.counted: list[tuple[Signal, Came]] = []

    def of(self, signal: Signal) -> Came:
        """Count the events of a signal; the same tensor, which two layers may share, is counted once."""
        for known, came in self.counted:
            if known is signal:
                return came
        self.counted.append((signal, count_events(signal, self.lengths)))
        return self.counted[-1][1]


def _count(
    layer: Counted,
    events: Came,
    fired: Came | None,
    valid: NDArray[np.bool_] | None,
    total: Counter[str],
    per_sample: PerSample,
) -> None:
    """Add the operations of a layer in one batch to its totals and to those of each sample.

    `layer`: whose operations are counted; those of a convolution are counted elsewhere, but for its spikes. `events`:
    of its input. `fired`: its own spikes; None if it does not spike. `valid`: steps within each sample [T, B]; None if
    all are. `total`: of the layer, by name. `per_sample`: counts of each sample of the batch, over all layers.
    """
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
    """Add the operations of a dense layer, of which an event reaches every neuron; for arguments see `_count`."""
    neurons = layer.neurons
    per_sample.add(total, "arriving", events.of_samples * layer.fan_out)
    if fired is None or layer.recurrence == "none":
        total["reached"] += events.steps * neurons
    else:
        is_reached = events.rows > 0  # [T, B]: the whole layer
        by_own_spike = 0  # neurons that only their own last spike reaches
        feeds_potential = layer.neuron.feeds_back == "potential"  # hardly ever 0, so an event of each neuron
        sent = np.full_like(fired.rows, neurons) if feeds_potential else fired.rows
        returning = one_step_later(sent, valid)
        per_sample.add(total, "returning", returning.sum(0) * recurrent_fan_out(layer))
        if layer.recurrence == "all_to_all":
            is_reached |= returning > 0
        else:
            by_own_spike = int(returning[~is_reached].sum())
        total["reached"] += int(np.count_nonzero(is_reached)) * neurons + by_own_spike


def _synapses_per_pair(layer: Counted) -> int | None:
    has_several = isinstance(layer, DenseLayer) and layer.fan_out > layer.neurons
    return layer.fan_out // layer.neurons if has_several else None  # type: ignore[union-attr]


def recurrent_fan_out(layer: DenseLayer) -> int:
    """Return the number of recurrent synapses that one event of a layer reaches."""
    return layer.fan_out if layer.recurrence == "all_to_all" else layer.fan_out // layer.neurons
