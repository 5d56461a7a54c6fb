"""What a network takes up, and how busy it is: numbers about a record that need no price."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from sgbench.energy.crossover import synapse_rate
from sgbench.energy.placement import stored_weights
from sgbench.errors import InputError
from sgbench.records.counts import Count, OpCounts

Z95 = 1.96  # of the normal distribution: test sets have hundreds of samples
WIDTHS = (32, 16, 8, 4)


@dataclass(frozen=True)
class Mean:
    """Holds a mean over samples and half the width of its 95 % interval."""

    value: float
    half: float | None  # None for one sample, or without sums of squares


@dataclass(frozen=True)
class Footprint:
    """Holds memory, sparsity and the cost of a sample of one network."""

    weights: int | None  # stored, biases included; None where a layer's are not known
    zero_weights: int | None
    state_words: float
    bytes_by_bits: dict[int, float]  # weights and states together, at each width
    connection_sparsity: float | None  # share of stored weights that are 0
    activation_sparsity: float  # share of connections times steps that nothing uses
    synaptic_operations: Mean  # of a sample
    spikes_sent: Mean


def footprint(counts: OpCounts) -> Footprint:
    """Summarise memory, sparsity and the cost of a sample from operation counts.

    Raises:
        InputError: synaptic operations or spikes were not counted.
    """
    weights, zeros = _sum(_weights(counts)), _sum(_zeros(counts))
    words = math.fsum(_state_words(counts))
    synapses = weights - _biases(counts) if weights is not None else 0
    return Footprint(
        weights=weights,
        zero_weights=zeros,
        state_words=words,
        bytes_by_bits={bits: ((weights or 0) + words) * bits / 8 for bits in WIDTHS}
        if weights is not None
        else {},
        connection_sparsity=zeros / synapses if zeros is not None and synapses else None,
        activation_sparsity=1 - synapse_rate(counts),
        synaptic_operations=_mean(
            [group.effective for layer in counts.layers for group in layer.synapses],
            None if counts.spread is None else counts.spread.synaptic_operations_squared,
            counts.samples,
        ),
        spikes_sent=_mean(
            [layer.spikes_sent for layer in counts.layers],
            None if counts.spread is None else counts.spread.spikes_sent_squared,
            counts.samples,
        ),
    )


def _weights(counts: OpCounts) -> Iterator[int | None]:
    """Yield how many weights each group stores, and how many biases; None where that is unknown."""
    for layer in counts.layers:
        yield from (stored_weights(group, counts.steps) for group in layer.synapses)
    yield _biases(counts)


def _biases(counts: OpCounts) -> int:
    """Count the biases, one for each addition of a bias in a step."""
    return sum((layer.bias_additions.total or 0) // counts.steps for layer in counts.layers)


def _zeros(counts: OpCounts) -> Iterator[int | None]:
    """Yield how many weights of each group are 0; None where that is unknown."""
    return (group.zero_weights for layer in counts.layers for group in layer.synapses)


def _state_words(counts: OpCounts) -> Iterator[float]:
    """Yield for each layer how many words every neuron reads in one update."""
    for layer in counts.layers:
        updates = layer.neuron_updates.total
        if layer.state_reads.total is not None and updates:
            yield layer.neurons * layer.state_reads.total / updates


def _sum(numbers: Iterator[int | None]) -> int | None:
    """Add numbers up; None where one is unknown."""
    given = list(numbers)
    return None if None in given else sum(number or 0 for number in given)


def _mean(counts: list[Count], squares: Count | None, samples: int) -> Mean:
    r"""Compute the mean over samples, and z s / sqrt(n) with the sample's own s."""
    for count in counts:
        if count.total is None:
            raise InputError(f"not counted: {count.reason}")
    mean = sum(count.total or 0 for count in counts) / samples
    if squares is None or squares.total is None or samples == 1:
        return Mean(mean, None)
    variance = max(0.0, squares.total / samples - mean**2) * samples / (samples - 1)
    return Mean(mean, Z95 * math.sqrt(variance / samples))
