"""Operation counts in memory, with every number under the test's control."""

from __future__ import annotations

from typing import Any

from sgbench.records.counts import Count, LayerCounts, OpCounts, SynapseCounts


def synapses(effective: int, dense: int, *, source: str = "input", **changes: Any) -> SynapseCounts:
    """One group of connections of binary spikes."""
    plain = {"wiring": "all_to_all", "operation": "accumulate", "weight_bits": 32}
    return SynapseCounts(source=source, effective=Count(total=effective), dense=Count(total=dense), **(plain | changes))


def layer(name: str, neurons: int, *groups: SynapseCounts, **totals: int) -> LayerCounts:
    """A layer whose other counts are 0."""
    names = [field for field, info in LayerCounts.model_fields.items() if info.annotation is Count]
    counted = {field: Count(total=totals.get(field, 0)) for field in names}
    return LayerCounts(name=name, neuron="Leaky", neurons=neurons, state_bits=32, synapses=groups, **counted)


def network(*layers: LayerCounts, samples: int = 1, steps: int = 1) -> OpCounts:
    """A network over so many samples and steps in all."""
    return OpCounts(samples=samples, steps=steps, input_events=Count(total=0), layers=layers)


def spiking(*, steps: int = 10, events: int = 40, sent: int = 6) -> OpCounts:
    """One sample of a network of 4 inputs, 8 hidden and 2 readout neurons, without biases.

    Args:
        steps: of the sample.
        events: into the first layer, over all steps.
        sent: spikes of the hidden layer.
    """
    hidden = layer(
        "hidden0",
        8,
        synapses(events * 8, 4 * 8 * steps),
        neuron_updates=8 * steps,
        neuron_updates_with_input=4 * steps,
        neuron_multiplications=8 * steps,
        neuron_additions=16 * steps,
        neuron_comparisons=8 * steps,
        spikes_sent=sent,
        weight_reads=events * 8,
        state_reads=8 * steps,
        state_writes=8 * steps,
    )
    readout = layer(
        "readout",
        2,
        synapses(sent * 2, 8 * 2 * steps, source="hidden0"),
        neuron_updates=2 * steps,
        neuron_updates_with_input=steps,
        neuron_multiplications=2 * steps,
        neuron_additions=2 * steps,
        weight_reads=sent * 2,
        state_reads=2 * steps,
        state_writes=2 * steps,
    )
    return network(hidden, readout, steps=steps)
