"""The first samples of a split, to try something with a part of a large data set."""

from __future__ import annotations

import torch
from torch import Tensor

from sgbench.datasets.base import Samples


def first_samples(samples: Samples, count: int) -> Samples:
    """Take the first samples of each class in turn, in their own order; of other targets the first of all.

    Args:
        samples: of one split.
        count: how many; all where there are fewer.

    >>> whole = Samples(torch.arange(6.0)[:, None], torch.tensor([0, 0, 0, 1, 1, 2]), None)
    >>> first_samples(whole, 4).target.tolist()
    [0, 0, 1, 2]
    """
    target = samples.target
    if count >= len(target):
        return samples
    turn = torch.arange(len(target)) if target.dim() > 1 else _turns(target)
    chosen = torch.argsort(turn, stable=True)[:count].sort().values
    lengths = None if samples.lengths is None else samples.lengths[chosen]
    return Samples(samples.values[chosen], target[chosen], lengths)


def _turns(target: Tensor) -> Tensor:
    """Count for each sample how many of its class come before it [samples]."""
    turns = torch.empty_like(target)
    for label in target.unique():
        positions = (target == label).nonzero()[:, 0]
        turns[positions] = torch.arange(len(positions))
    return turns
