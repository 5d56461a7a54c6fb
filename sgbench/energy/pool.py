"""Counts of several seeds of one method as those of one long test set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sgbench.errors import InputError
from sgbench.records.counts import Count, LayerCounts, OpCounts, SynapseCounts


def pooled(counts: Sequence[OpCounts]) -> OpCounts:
    """Add up what networks of one shape did; divided by samples it is the mean over seeds of equal test sets.

    Raises:
        InputError: there is nothing to pool, or the networks differ in shape.
    """
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
    """Return the properties that two networks must share to be pooled."""
    return [
        (
            layer.name,
            layer.neurons,
            [(group.source, group.wiring, group.operation) for group in layer.synapses],
        )
        for layer in counts.layers
    ]


def _layer(layers: Sequence[LayerCounts]) -> LayerCounts:
    """Add up one layer of several networks."""
    groups = tuple(_group(groups) for groups in zip(*(layer.synapses for layer in layers), strict=True))
    return layers[0].model_copy(update={"synapses": groups, **_totals(layers)})


def _group(groups: Sequence[SynapseCounts]) -> SynapseCounts:
    """Add up one group of connections of several networks."""
    return groups[0].model_copy(update=_totals(groups))


def _totals(parts: Sequence[LayerCounts] | Sequence[SynapseCounts]) -> dict[str, Count]:
    """Sum every count of a part over networks."""
    names = [name for name in type(parts[0]).model_fields if isinstance(getattr(parts[0], name), Count)]
    return {name: _sum([getattr(part, name) for part in parts]) for name in names}


def _sum(counts: Sequence[Count]) -> Count:
    """Add counts up; one that is unknown makes the sum unknown."""
    unknown = next((count for count in counts if count.total is None), None)
    return unknown if unknown is not None else Count(total=sum(count.total or 0 for count in counts))
