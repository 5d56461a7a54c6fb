"""The network without spikes that a spiking one has to be compared with."""

from __future__ import annotations

from typing import Literal

from sgbench.energy.placement import synapse_count
from sgbench.errors import InputError
from sgbench.records.counts import Count, LayerCounts, OpCounts, SynapseCounts

Passes = Literal["sample", "step"]
"""How often a network without spikes runs: once a sample, or once in each step."""


def levels_bits(steps: int) -> int:
    r"""Count the bits of an activation with as many values as a neuron has spike counts in T steps, 0 to T.

    .. math:: b = \lceil \log_2 (T + 1) \rceil

    Source: Yan et al. 2024, arXiv 2409.08290.

    >>> [levels_bits(steps) for steps in (1, 3, 4, 7, 8, 25)]
    [1, 2, 3, 3, 4, 5]
    """
    return steps.bit_length()


def passes_of(counts: OpCounts, *, in_time: bool = False) -> Passes:
    """Decide how often a network without spikes runs: once a step if it is recurrent or its input is a series."""
    recurrent = any(group.source == layer.name for layer in counts.layers for group in layer.synapses)
    return "step" if recurrent or in_time else "sample"


def matched_ann(
    counts: OpCounts, *, weight_bits: int | None = None, passes: Passes | None = None
) -> OpCounts:
    """Count the same layers with units that do not spike: every connection multiplies in every pass.

    On values it runs once a sample; on a series in time, or with recurrence, once a step. Hidden units compare
    with 0, nothing has a state, nothing is skipped: sparse activations would only be cheaper on a machine that
    looks for them.

    Args:
        counts: of the spiking network.
        weight_bits: of each weight; None keeps the spiking network's.
        passes: one a sample or one a step; None takes one a step where there is recurrence.

    Raises:
        InputError: a layer's synapses were not counted.
    """
    runs = counts.steps if (passes or passes_of(counts)) == "step" else counts.samples
    layers = tuple(
        _layer(layer, counts, runs, weight_bits, last=layer is counts.layers[-1]) for layer in counts.layers
    )
    first = counts.layers[0]
    pairs = first.neurons * (first.synapses_per_pair or 1)
    inputs = (synapse_count(first.synapses[0], counts.steps) or 0) // pairs
    return OpCounts(
        samples=counts.samples, steps=runs, input_events=Count(total=inputs * runs), layers=layers
    )


def _layer(layer: LayerCounts, counts: OpCounts, passes: int, bits: int | None, *, last: bool) -> LayerCounts:
    """Count one layer of the matched network, which makes so many passes."""
    groups = tuple(_group(group, layer, counts, passes, bits) for group in layer.synapses)
    units = layer.neurons * passes
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


def _group(
    group: SynapseCounts, layer: LayerCounts, counts: OpCounts, passes: int, bits: int | None
) -> SynapseCounts:
    """Count one group of connections of the matched network, all of them used in every pass."""
    synapses = synapse_count(group, counts.steps)
    if synapses is None:
        raise InputError(f"{group.source} to {layer.name}: {group.dense.reason}; no network to match")
    served = Count(total=synapses * passes)
    return group.model_copy(
        update={
            "operation": "multiply_accumulate",
            "weight_bits": bits or group.weight_bits,
            "effective": served,
            "dense": served,
        }
    )


def bit_operations(counts: OpCounts, *, activation_bits: int | None = None) -> int:
    r"""Sum the products of bits in all synaptic operations: the budget by which networks of unlike widths compare.

    .. math:: \sum_\mathrm{operations} b_w \, b_a, \qquad b_a = 1 \text{ for a spike}

    Args:
        counts: of any network.
        activation_bits: of real values; None takes them as wide as weights.

    Raises:
        InputError: a layer's synapses were not counted.

    Source: Shen et al. 2024, CVPR (bit budget), without its factor of time, which the counts hold.
    """
    total = 0
    for layer in counts.layers:
        for group in layer.synapses:
            if group.effective.total is None:
                raise InputError(f"{group.source} to {layer.name}: {group.effective.reason}")
            wide = 1 if group.operation == "accumulate" else activation_bits or group.weight_bits
            total += group.effective.total * group.weight_bits * wide
    return total


def bit_share(counts: OpCounts, activation_bits: int) -> float:
    """Divide the bit operations of an inference by those of the quantised network without spikes."""
    spiking = bit_operations(counts, activation_bits=activation_bits)
    return spiking / bit_operations(matched_ann(counts), activation_bits=activation_bits)
