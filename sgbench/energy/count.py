"""Exact operation counts from real spikes, streamed over batches."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sgbench.energy.event_rows import Rows, events_per_row, one_step_later, within
from sgbench.energy.per_sample import PerSample, spread
from sgbench.errors import InputError
from sgbench.networks.base import DenseLayer, Network
from sgbench.neurons.base import Neuron
from sgbench.records.counts import Count, LayerCounts, OpCounts, SynapseCounts
from sgbench.trajectory import Batch, Trajectory

Kind = Literal["binary", "real"]


class OperationCounter:
    """Counts what an event-driven and what a clocked machine would execute, up to each sample's length.

    An input that is not zero triggers one operation per synapse it reaches: an addition where the source
    declares binary output, a multiplication and addition where it declares real output. A spike of a sample's
    last step reaches no recurrent synapse any more. All totals are integers, so batches, their order and the
    device change nothing.

    Args:
        network: whose layers are counted.
        input_kind: what the encoder declares.
        bits: of a weight and of a state variable.
    """

    def __init__(self, network: Network, input_kind: Kind, *, bits: int) -> None:
        self.layers: list[DenseLayer] = [*network.hidden_layers, network.readout]
        self.input_kind: Kind = input_kind
        self.bits = bits
        self.samples = 0
        self.steps = 0
        self.totals: list[Counter[str]] = [Counter() for _ in self.layers]
        self.squares: Counter[str] = Counter()  # of each sample's totals, summed over samples

    def update(self, batch: Batch, trajectory: Trajectory) -> None:
        """Add one batch; the trajectory must have kept its spikes."""
        events = events_per_row(batch.x)
        valid = within(batch.lengths, len(events))
        events = events if valid is None else events * valid
        self.samples += len(batch.lengths)
        self.steps += int(batch.lengths.sum())
        spikes = iter(trajectory.spikes)
        each = PerSample(len(batch.lengths))
        for layer, total in zip(self.layers, self.totals, strict=True):
            fired = None
            if layer.neuron.output == "binary":
                fired = events_per_row(next(spikes), ones=layer.neuron.sends == "binary")
                fired = fired if valid is None else fired * valid
            _count(layer, events, fired, valid, total, each)
            if fired is not None:
                events = fired
            elif layer is not self.layers[-1]:
                raise InputError(f"layer '{layer.name}' does not fire: what it sends on cannot be counted")
        each.add_squares(self.squares)

    def result(self) -> OpCounts:
        """The totals so far."""
        kinds: list[Kind] = [self.input_kind, *(_kind(layer.neuron) for layer in self.layers[:-1])]
        names = ["input", *(layer.name for layer in self.layers[:-1])]
        return OpCounts(
            samples=self.samples,
            steps=self.steps,
            input_events=Count(total=self.totals[0]["events"]),
            spread=spread(self.squares),
            layers=tuple(
                self._layer(layer, total, name, kind)
                for layer, total, name, kind in zip(self.layers, self.totals, names, kinds, strict=True)
            ),
        )

    def _layer(self, layer: DenseLayer, total: Counter[str], source: str, kind: Kind) -> LayerCounts:
        neurons, inputs = layer.neurons, layer.weight.shape[1]
        synapses = [self._synapses(source, "all_to_all", kind, total["events"], layer.fan_out, inputs)]
        if layer.recurrence != "none":
            fan_out = recurrent_fan_out(layer)
            wiring: Literal["all_to_all", "one_to_one"] = (
                "all_to_all" if layer.recurrence == "all_to_all" else "one_to_one"
            )
            kind = _kind(layer.neuron) if layer.neuron.feeds_back == "spikes" else "real"
            synapses.append(self._synapses(layer.name, wiring, kind, total["recurrent"], fan_out, neurons))
        updates = self.steps * neurons
        operations = layer.neuron.operations
        biases = 0 if layer.bias is None else updates * layer.neuron.currents
        reads = biases + sum(group.effective.total or 0 for group in synapses)
        return LayerCounts(
            name=layer.name,
            neuron=type(layer.neuron).__name__,
            neurons=neurons,
            state_bits=self.bits,
            synapses=tuple(synapses),
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
            normalisation_operations=Count(total=0),
            pooling_operations=Count(total=0),
            residual_additions=Count(total=0),
            delay_operations=Count(total=0),
            synapses_per_pair=layer.fan_out // neurons if layer.fan_out > neurons else None,
            function_evaluations=Count(total=updates * operations.functions)
            if operations.functions
            else None,
        )

    def _synapses(
        self,
        source: str,
        wiring: Literal["all_to_all", "one_to_one"],
        kind: Kind,
        events: int,
        fan_out: int,
        sources: int,
    ) -> SynapseCounts:
        return SynapseCounts(
            source=source,
            wiring=wiring,
            operation="accumulate" if kind == "binary" else "multiply_accumulate",
            weight_bits=self.bits,
            effective=Count(total=events * fan_out),
            dense=Count(total=self.steps * sources * fan_out),
        )


def _kind(neuron: Neuron) -> Kind:
    """A spike of either sign adds or subtracts a weight; one that counts or is graded multiplies it."""
    return "binary" if neuron.sends in ("binary", "signed") else "real"


def _count(
    layer: DenseLayer,
    events: Rows,
    fired: Rows | None,
    valid: NDArray[np.bool_] | None,
    total: Counter[str],
    each: PerSample,
) -> None:
    """Add what one batch makes a layer do, from the events that reach it and the spikes it sends [T, B]."""
    neurons = layer.neurons
    arrived = events.sum(0)
    total["events"] += int(arrived.sum())
    each.synaptic_operations += arrived * layer.fan_out
    reached = events > 0
    alone = 0  # neurons reached by nothing but their own last spike
    if fired is not None:
        sent = fired.sum(0)
        total["spikes"] += int(sent.sum())
        each.spikes_sent += sent
        if layer.recurrence != "none":
            values = layer.neuron.feeds_back == "potential"  # which are hardly ever 0
            late = one_step_later(np.full_like(fired, neurons) if values else fired, valid)
            returned = late.sum(0)
            total["recurrent"] += int(returned.sum())
            each.synaptic_operations += returned * recurrent_fan_out(layer)
            if layer.recurrence == "all_to_all":
                reached |= late > 0
            else:
                alone = int(late[~reached].sum())
    total["reached"] += int(np.count_nonzero(reached)) * neurons + alone


def recurrent_fan_out(layer: DenseLayer) -> int:
    """Synapses that one event of a layer reaches in the layer itself."""
    return layer.fan_out if layer.recurrence == "all_to_all" else layer.fan_out // layer.neurons
