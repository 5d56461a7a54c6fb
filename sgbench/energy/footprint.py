"""Memory, sparsity and mean activity of a network, computed from its operation counts without any prices."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from sgbench.energy.crossover import synapse_rate
from sgbench.energy.placement import stored_weights
from sgbench.errors import InputError
from sgbench.records.counts import Count, OpCounts, SynapseCounts

Z95 = 1.96  # quantile of the normal distribution, which fits means over hundreds of samples
WIDTHS = (32, 16, 8, 4)  # bits


@dataclass(frozen=True)
class Mean:
    """Holds a mean over samples and half the width of its 95 % interval."""

    value: float
    half: float | None  # None for one sample, or without sums of squares


@dataclass(frozen=True)
class Footprint:
    """Holds memory, sparsity and mean activity of one network."""

    weights: int | None  # number of stored weights and biases; None if a layer's is unknown
    zero_weights: int | None  # number of stored weights that are 0; None if a layer's is unknown
    state_words: float  # number of state variables of all neurons
    bytes_by_bits: dict[int, float]  # maps bits of a number to the memory of weights and states; empty if unknown
    connection_sparsity: float | None  # fraction of stored weights that are 0
    activation_sparsity: float  # fraction of connections times steps without an event
    synaptic_operations: Mean  # of a sample
    spikes_sent: Mean  # of a sample


def footprint(counts: OpCounts) -> Footprint:
    """Compute memory, sparsity and mean activity of a network from its operation counts."""
    weights = _sum(_weights(counts))
    zeros = _sum(group.zero_weights for layer in counts.layers for group in layer.synapses)
    words = math.fsum(_state_words(counts))
    synapses = weights - _biases(counts) if weights is not None else 0
    return Footprint(
        weights=weights,
        zero_weights=zeros,
        state_words=words,
        bytes_by_bits={} if weights is None else {bits: (weights + words) * bits / 8 for bits in WIDTHS},
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
    """Yield the stored weights of each group of synapses, then the biases; None where a number is unknown."""
    for layer in counts.layers:
        yield from (stored_weights(group, counts.steps) for group in layer.synapses)
    yield _biases(counts)


def _biases(counts: OpCounts) -> int:
    return sum((layer.bias_additions.total or 0) // counts.steps for layer in counts.layers)


def _state_words(counts: OpCounts) -> Iterator[float]:
    """Yield each layer's number of state variables: those that an update reads, times its neurons."""
    for layer in counts.layers:
        updates = layer.neuron_updates.total
        if layer.state_reads.total is not None and updates:
            yield layer.neurons * layer.state_reads.total / updates


def _sum(numbers: Iterator[int | None]) -> int | None:
    known = list(numbers)
    return None if None in known else sum(number or 0 for number in known)


def _mean(counts: list[Count], squares: Count | None, samples: int) -> Mean:
    """Compute the mean of a sample and its interval; `squares`: sum over samples of the squared counts."""
    for count in counts:
        if count.total is None:
            raise InputError(f"not counted: {count.reason}")
    mean = sum(count.total or 0 for count in counts) / samples
    if squares is None or squares.total is None or samples == 1:
        return Mean(mean, None)
    variance = max(0.0, squares.total / samples - mean**2) * samples / (samples - 1)
    return Mean(mean, Z95 * math.sqrt(variance / samples))


VERSION = "2.3.0"
"""Version of NeuroBench whose metrics these are."""
Metric = float | int | None | dict[str, float | None]
BITS_PER_BYTE = 8


def neurobench_metrics(counts: OpCounts, *, parameters: int | None) -> dict[str, Metric]:
    r"""Map the names of NeuroBench's metrics to values computed from operation counts; None for unknown.

    .. math:: \text{ActivationSparsity} = 1 - \frac{\sum_l s_l}{\sum_l N_l T}

    with the number of spikes s_l and of neurons N_l of each spiking layer l, over T steps of all samples. Synaptic
    operations are per sample. NeuroBench's effective operations leave out products with weights of 0, so they are
    unknown here if a weight is 0. The footprint [bytes] is that of the parameters; NeuroBench adds constants that a
    library keeps as buffers.
    """
    groups = [group for layer in counts.layers for group in layer.synapses]
    spiking = list(counts.layers[:-1])
    spiking += [layer for layer in counts.layers[-1:] if layer.spikes_sent.total]  # the readout, if it spikes
    spikes = _total([layer.spikes_sent for layer in spiking])
    neuron_steps = sum(layer.neurons for layer in spiking) * counts.steps
    bits = max((group.weight_bits for group in groups), default=0)
    try:
        connections = footprint(counts).connection_sparsity
    except InputError:
        connections = None
    return {
        "ParameterCount": parameters,
        "Footprint": None if parameters is None else parameters * bits / BITS_PER_BYTE,
        "ConnectionSparsity": connections,
        "ActivationSparsity": None if spikes is None or not neuron_steps else 1 - spikes / neuron_steps,
        "SynapticOperations": {
            "Effective_MACs": _effective(groups, "multiply_accumulate", counts),
            "Effective_ACs": _effective(groups, "accumulate", counts),
            "Dense": _per_sample([group.dense for group in groups], counts),
        },
    }


def _effective(groups: list[SynapseCounts], operation: str, counts: OpCounts) -> float | None:
    """Return the operations of this kind for a sample; None if some weights are 0."""
    chosen = [group for group in groups if group.operation == operation]
    if any(group.zero_weights for group in chosen):
        return None
    return _per_sample([group.effective for group in chosen], counts)


def _total(numbers: list[Count]) -> int | None:
    totals = [count.total for count in numbers]
    return None if None in totals else sum(total or 0 for total in totals)


def _per_sample(numbers: list[Count], counts: OpCounts) -> float | None:
    """Sum counts and divide by the number of samples; None if one is unknown."""
    total = _total(numbers)
    return None if total is None else total / counts.samples
