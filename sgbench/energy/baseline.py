"""Operation counts of the matched ANN: the network of the same layers without spikes, for comparison."""

from typing import Literal

from sgbench.energy.placement import synapse_count
from sgbench.errors import InputError
from sgbench.records.counts import Count, LayerCounts, OpCounts, SynapseCounts

Passes = Literal["sample", "step"]
"""How often a network without spikes runs: once for each sample, or in each of its steps."""


def levels_bits(steps: int) -> int:
    r"""Compute the bits b of an activation with T + 1 values: the possible spike counts of a neuron in T steps.

    .. math:: b = \lceil \log_2 (T + 1) \rceil

    Source: Yan et al. 2024, arXiv 2409.08290.

    >>> [levels_bits(steps) for steps in (1, 3, 4, 7, 8, 25)]
    [1, 2, 3, 3, 4, 5]
    """
    return steps.bit_length()


def passes_of(counts: OpCounts, *, in_time: bool = False) -> Passes:
    """Return how often the matched ANN runs: "step" if it is recurrent or its input is a series in time."""
    recurrent = any(group.source == layer.name for layer in counts.layers for group in layer.synapses)
    return "step" if recurrent or in_time else "sample"


def matched_ann(counts: OpCounts, *, weight_bits: int | None = None, passes: Passes | None = None) -> OpCounts:
    """Compute the counts of the same layers with ReLU units: every connection multiplies each time that it runs.

    Hidden units compare with 0 and have no state. No product with an activation of 0 is skipped, as that pays only
    on hardware that detects zeros.

    `counts`: of the spiking network. `weight_bits`: of each weight; None for those of the spiking network. `passes`:
    how often the network runs; None for once a step if it is recurrent, else once a sample.
    """
    runs = counts.steps if (passes or passes_of(counts)) == "step" else counts.samples  # on all samples
    layers = tuple(_layer(layer, counts, runs, weight_bits, last=layer is counts.layers[-1]) for layer in counts.layers)
    first = counts.layers[0]
    synapses_per_input = first.neurons * (first.synapses_per_pair or 1)
    inputs = (synapse_count(first.synapses[0], counts.steps) or 0) // synapses_per_input
    return OpCounts(samples=counts.samples, steps=runs, input_events=Count(total=inputs * runs), layers=layers)


def _layer(layer: LayerCounts, counts: OpCounts, runs: int, bits: int | None, *, last: bool) -> LayerCounts:
    """Count a layer of the same size without spikes, which runs `runs` times; all but the last apply a ReLU."""
    groups = tuple(_group(group, layer, counts, runs, bits) for group in layer.synapses)
    units = layer.neurons * runs
    biases = units if layer.bias_additions.total else 0
    none = Count(total=0)
    return LayerCounts(
        name=layer.name,
        neuron="Identity" if last else "ReLU",
        neurons=layer.neurons,
        state_bits=bits or layer.state_bits,
        synapses=groups,
        neuron_updates=Count(total=units),
        neuron_updates_with_input=Count(total=units),
        neuron_multiplications=none,
        neuron_additions=none,
        neuron_comparisons=Count(total=0 if last else units),
        spikes_sent=none,
        bias_additions=Count(total=biases),
        weight_reads=Count(total=biases + sum(group.dense.total or 0 for group in groups)),
        state_reads=none,
        state_writes=none,
        normalisation_operations=none,
        pooling_operations=none,
        residual_additions=none,
        delay_operations=none,
    )


def _group(group: SynapseCounts, layer: LayerCounts, counts: OpCounts, runs: int, bits: int | None) -> SynapseCounts:
    """Count a group of synapses that multiplies densely in each of `runs` runs; no `bits` keeps the group's own."""
    synapses = synapse_count(group, counts.steps)
    if synapses is None:
        raise InputError(f"{group.source} to {layer.name}: {group.dense.reason}; no network to match")
    products = Count(total=synapses * runs)
    return group.model_copy(
        update={
            "operation": "multiply_accumulate",
            "weight_bits": bits or group.weight_bits,
            "effective": products,
            "dense": products,
        }
    )


def bit_operations(counts: OpCounts, *, activation_bits: int | None = None) -> int:
    r"""Sum the bits of weight times activation over all synaptic operations, to compare unlike bit widths.

    .. math:: \sum_\mathrm{operations} b_w \, b_a, \qquad b_a = 1 \text{ for a spike}

    `counts`: of any network. `activation_bits`: b_a of a real-valued activation; None for as many as the weight b_w.

    Source: Shen et al. 2024, CVPR (bit budget), without its factor of time, which the counts hold.
    """
    total = 0
    for layer in counts.layers:
        for group in layer.synapses:
            if group.effective.total is None:
                raise InputError(f"{group.source} to {layer.name}: {group.effective.reason}")
            source_bits = 1 if group.operation == "accumulate" else activation_bits or group.weight_bits
            total += group.effective.total * group.weight_bits * source_bits
    return total


def bit_share(counts: OpCounts, activation_bits: int) -> float:
    spiking = bit_operations(counts, activation_bits=activation_bits)
    return spiking / bit_operations(matched_ann(counts), activation_bits=activation_bits)
