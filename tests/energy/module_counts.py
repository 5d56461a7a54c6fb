"""What the counter of torch's layers says of a network, and spikes to count."""

from __future__ import annotations

import torch
from hypothesis import settings
from torch import Tensor, nn

from sgbench.energy.modules import ModuleCounter
from sgbench.records.counts import LayerCounts, OpCounts, SynapseCounts

few = settings(max_examples=15)


def count(network: nn.Module, *calls: Tensor, kind: str = "real", folded: bool = False) -> OpCounts:
    """One call a batch of samples, each of one step."""
    counter = ModuleCounter(network.eval(), input_kind=kind, bits=32, fold_batch_norm=folded)
    for x in calls:
        counter(x, samples=len(x), steps=len(x))
    return counter.result()


def only(counts: OpCounts, name: str = "") -> LayerCounts:
    """The layer of this name, or the only one."""
    (layer,) = [each for each in counts.layers if not name or each.name == name]
    return layer


def spikes(*shape: int, seed: int = 0, rate: float = 0.4) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


def effective_total(groups: tuple[SynapseCounts, ...]) -> int:
    (group,) = groups
    assert group.effective.total is not None
    return group.effective.total
