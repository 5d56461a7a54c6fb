"""What one module did, added up call by call."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn

from sgbench.records.counts import Count, LayerCounts, SynapseCounts, Wiring


class StoredWeights(NamedTuple):
    """Holds numbers of one group of connections."""

    numbers: int
    zeros: int


def stored(layer: nn.Module, name: str) -> StoredWeights:
    """Describe a layer's "weight" or "recurrent" as stored; connections that a mask cuts are not stored."""
    weight = getattr(layer, name)
    mask = getattr(layer, "mask" if name == "weight" else f"{name}_mask", None)
    connections = weight.numel() if mask is None else int(torch.count_nonzero(mask))
    used = weight if mask is None else weight * mask
    return StoredWeights(connections, connections - int(torch.count_nonzero(used)))


@dataclass
class ConnectionGroup:
    """Describes one group of connections into a module."""

    source: str
    wiring: Wiring
    kind: str  # "binary" or "real", of what flows through it
    weights: int
    zero_weights: int
    fan_in: int
    effective: int = 0
    dense: int = 0


@dataclass
class Tally:
    """Holds totals of one module; `counts` has the names of the fields of `LayerCounts` that are not 0."""

    name: str
    module: str
    neurons: int
    groups: dict[tuple[str, str, str], ConnectionGroup] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def connect(
        self,
        source: str,
        wiring: Wiring,
        kind: str,
        *,
        effective: int,
        dense: int,
        weights: StoredWeights,
        fan_in: int,
    ) -> None:
        """Add operations through connections; each that is used reads its weight."""
        group = self.groups.setdefault(
            (source, wiring, kind),
            ConnectionGroup(source, wiring, kind, weights.numbers, weights.zeros, fan_in),
        )
        group.effective += effective
        group.dense += dense
        self.counts["weight_reads"] += effective

    def biased(self, additions: int) -> None:
        """Add biases; each of them is a weight that is read."""
        self.counts["bias_additions"] += additions
        self.counts["weight_reads"] += additions

    def result(self, bits: int) -> LayerCounts:
        """Return the counts as a record stores them; operations that this module never does are 0."""
        totals: dict[str, Any] = {
            name: Count(total=self.counts[name])
            for name, info in LayerCounts.model_fields.items()
            if info.annotation is Count
        }
        functions = self.counts["function_evaluations"]
        return LayerCounts(
            name=self.name,
            neuron=self.module,
            neurons=self.neurons,
            state_bits=bits,
            synapses=tuple(_group(group, bits) for group in self.groups.values()),
            function_evaluations=Count(total=functions) if functions else None,
            **totals,
        )


def _group(group: ConnectionGroup, bits: int) -> SynapseCounts:
    """Return the counts of one group of connections."""
    return SynapseCounts(
        source=group.source,
        wiring=group.wiring,
        operation="accumulate" if group.kind == "binary" else "multiply_accumulate",
        weight_bits=bits,
        effective=Count(total=group.effective),
        dense=Count(total=group.dense),
        weights=group.weights,
        zero_weights=group.zero_weights,
        fan_in=group.fan_in,
    )
