"""The metrics of the benchmark suite NeuroBench, computed from operation counts."""

from sgbench.energy.footprint import footprint
from sgbench.errors import InputError
from sgbench.records.counts import Count, OpCounts, SynapseCounts

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
