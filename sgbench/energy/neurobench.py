"""Costs of a network under the names of NeuroBench's metrics."""

from __future__ import annotations

from sgbench.energy.footprint import footprint
from sgbench.errors import InputError
from sgbench.records.counts import Count, OpCounts, SynapseCounts

VERSION = "2.3.0"
"""Of NeuroBench, whose metrics have these names."""
Metric = float | int | None | dict[str, float | None]
BITS = 8


def neurobench_metrics(counts: OpCounts, *, parameters: int | None) -> dict[str, Metric]:
    r"""Compute NeuroBench's metrics from operation counts; a number is None where a count has a reason instead.

    .. math:: \text{ActivationSparsity} = 1 - \frac{\sum_l s_l}{\sum_l N_l T}

    with the spikes s and the neurons N of each layer that sends spikes, over T steps of all samples. Synaptic
    operations are those of one sample. Effective ones leave products with a weight of 0 out, so they are not known
    where weights are 0. The footprint is that of the parameters; NeuroBench adds the constants that a library keeps
    as buffers.

    Args:
        counts: of a network over its test set.
        parameters: numbers that are trained.
    """
    groups = [group for layer in counts.layers for group in layer.synapses]
    sending = list(counts.layers[:-1])
    sending += [layer for layer in counts.layers[-1:] if layer.spikes_sent.total]  # a readout sends none
    fired = _total([layer.spikes_sent for layer in sending])
    neuron_steps = sum(layer.neurons for layer in sending) * counts.steps
    bits = max((group.weight_bits for group in groups), default=0)
    try:
        connections = footprint(counts).connection_sparsity
    except InputError:
        connections = None
    return {
        "ParameterCount": parameters,
        "Footprint": None if parameters is None else parameters * bits / BITS,
        "ConnectionSparsity": connections,
        "ActivationSparsity": None if fired is None or not neuron_steps else 1 - fired / neuron_steps,
        "SynapticOperations": {
            "Effective_MACs": _effective(groups, "multiply_accumulate", counts),
            "Effective_ACs": _effective(groups, "accumulate", counts),
            "Dense": _each([g.dense for g in groups], counts),
        },
    }


def _effective(groups: list[SynapseCounts], operation: str, counts: OpCounts) -> float | None:
    """Count operations of one kind in a sample; None where some would be with weights of 0."""
    chosen = [group for group in groups if group.operation == operation]
    return (
        None if any(group.zero_weights for group in chosen) else _each([g.effective for g in chosen], counts)
    )


def _total(counted: list[Count]) -> int | None:
    totals = [count.total for count in counted]
    return None if None in totals else sum(total or 0 for total in totals)


def _each(counted: list[Count], counts: OpCounts) -> float | None:
    total = _total(counted)
    return None if total is None else total / counts.samples
