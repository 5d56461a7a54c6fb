"""A part of a split, for quick trials with a large data set."""

import torch
from torch import Tensor

from sgbench.datasets.base import Samples


def first_samples(samples: Samples, count: int) -> Samples:
    """Take `count` samples of a split, the first ones of each class, in their stored order.

    Classes take turns: first samples of all classes, then second ones, and so on. Targets that are no single class
    are not balanced: the first `count` samples are taken. If there are fewer, all are.

    >>> whole = Samples(torch.arange(6.0)[:, None], torch.tensor([0, 0, 0, 1, 1, 2]), None)
    >>> first_samples(whole, 4).target.tolist()
    [0, 0, 1, 2]
    """
    target = samples.target
    if count >= len(target):
        return samples
    turn = torch.arange(len(target)) if target.dim() > 1 else _rank_in_class(target)
    chosen = torch.argsort(turn, stable=True)[:count].sort().values
    lengths = None if samples.lengths is None else samples.lengths[chosen]
    return Samples(samples.values[chosen], target[chosen], lengths)


def _rank_in_class(target: Tensor) -> Tensor:
    """Count for each sample how many samples of its class come before it, int64 [samples]."""
    rank = torch.empty_like(target)
    for label in target.unique():
        positions = (target == label).nonzero()[:, 0]
        rank[positions] = torch.arange(len(positions))
    return rank
