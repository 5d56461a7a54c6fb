"""Operation totals of one torch module, summed over its calls."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn

from sgbench.records.counts import Count, LayerCounts, SynapseCounts, Wiring


class StoredWeights(NamedTuple):
    """Holds how many weights a group of connections stores."""

    numbers: int  # of weights
    zeros: int  # of weights that are 0


def stored(layer: nn.Module, name: str) -> StoredWeights:
    """Count a layer's weights in its attribute `name`, e.g. "weight"; weights removed by its mask do not count."""
    weight = getattr(layer, name)
    mask = getattr(layer, "mask" if name == "weight" else f"{name}_mask", None)
    connections = weight.numel() if mask is None else int(torch.count_nonzero(mask))
    used = weight if mask is None else weight * mask
    return StoredWeights(connections, connections - int(torch.count_nonzero(used)))


@dataclass
class ConnectionGroup:
    """Holds the operations of one group of connections into a module."""

    source: str  # name of the module or input that they come from
    wiring: Wiring
    kind: str  # of the source's output: "binary" or "real"
    weights: int  # stored
    zero_weights: int  # stored weights that are 0
    fan_in: int  # connections to one neuron
    effective: int = 0  # operations caused by inputs other than 0
    dense: int = 0  # operations if every connection is used in every step


@dataclass
class Tally:
    """Holds the operation totals of one module."""

    name: str
    module: str  # its class
    neurons: int
    # By source, wiring and kind.
    groups: dict[tuple[str, str, str], ConnectionGroup] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)  # totals by field of `LayerCounts`

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
        """Add the operations of a group of connections; each effective operation reads a weight.

        Args:
            source: name of the module or input that they come from.
            wiring: of the group.
            kind: of the source's output: "binary" or "real".
            effective: operations caused by inputs other than 0.
            dense: operations if every connection is used in every step.
            weights: stored by the group.
            fan_in: connections to one neuron.
        """
        group = self.groups.setdefault(
            (source, wiring, kind),
            ConnectionGroup(source, wiring, kind, weights.numbers, weights.zeros, fan_in),
        )
        group.effective += effective
        group.dense += dense
        self.counts["weight_reads"] += effective

    def biased(self, additions: int) -> None:
        """Add so many additions of a bias, each of which reads a weight."""
        self.counts["bias_additions"] += additions
        self.counts["weight_reads"] += additions

    def result(self, bits: int) -> LayerCounts:
        """Return the totals in the form of a record; bits: of a weight and of a state variable."""
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
    """Return a group's totals in the form of a record; bits: of a weight."""
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
