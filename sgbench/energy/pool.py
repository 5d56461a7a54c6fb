"""Operation counts of several seeds of one method, summed as if over one long test set."""

from collections.abc import Sequence
from typing import Any

from sgbench.errors import InputError
from sgbench.records.counts import Count, LayerCounts, OpCounts, SynapseCounts


def pooled(counts: Sequence[OpCounts]) -> OpCounts:
    """Sum the counts of several seeds of one network; a count that one of them lacks is unknown in the sum."""
    if not counts:
        raise InputError("no operation counts to pool")
    first = counts[0]
    if any(_shape(part) != _shape(first) for part in counts):
        raise InputError("networks of different shapes cannot be pooled")
    layers = tuple(_layer([part.layers[index] for part in counts]) for index in range(len(first.layers)))
    return OpCounts(
        samples=sum(part.samples for part in counts),
        steps=sum(part.steps for part in counts),
        input_events=_sum([part.input_events for part in counts]),
        layers=layers,
    )


def _shape(counts: OpCounts) -> list[Any]:
    """Return layers, neurons and connections, in which networks must agree to be pooled."""
    return [
        (layer.name, layer.neurons, [(group.source, group.wiring, group.operation) for group in layer.synapses])
        for layer in counts.layers
    ]


def _layer(layers: Sequence[LayerCounts]) -> LayerCounts:
    """Sum the counts of one layer over runs."""
    same_groups = zip(*(layer.synapses for layer in layers), strict=True)
    summed = tuple(groups[0].model_copy(update=_totals(groups)) for groups in same_groups)
    return layers[0].model_copy(update={"synapses": summed, **_totals(layers)})


def _totals(parts: Sequence[LayerCounts] | Sequence[SynapseCounts]) -> dict[str, Count]:
    names = [name for name in type(parts[0]).model_fields if isinstance(getattr(parts[0], name), Count)]
    return {name: _sum([getattr(part, name) for part in parts]) for name in names}


def _sum(counts: Sequence[Count]) -> Count:
    unknown = next((count for count in counts if count.total is None), None)
    return unknown if unknown is not None else Count(total=sum(count.total or 0 for count in counts))
