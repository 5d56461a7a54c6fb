"""Gradients of several batches, for one step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Accumulation:
    r"""Averages gradients of the mean loss over batches, each by its number of samples.

    .. math:: g = \sum_k n_k g_k \Big/ \sum_k n_k

    So k batches of B samples make the step of one batch of k B, as far as samples do not know of one another:
    statistics of a batch normalisation, and penalties that are not linear in samples, are those of each batch.

    Args:
        weights: whose gradients they are.

    >>> weight = torch.nn.Parameter(torch.zeros(1))
    >>> both = Accumulation([weight])
    >>> weight.grad = torch.tensor([1.0])
    >>> both.add(3, due=False)
    >>> weight.grad = torch.tensor([5.0])
    >>> both.add(1, due=True), weight.grad
    (tensor(2.), tensor([2.]))
    """

    def __init__(self, weights: Sequence[torch.nn.Parameter]) -> None:
        self.weights = list(weights)
        self.sums: list[Tensor | None] = [None] * len(self.weights)
        self.samples = 0

    def add(self, samples: int, *, due: bool) -> Tensor | None:
        """Add the gradients of a batch; where the step is due, set them to the mean and return its L2 norm."""
        self.samples += samples
        for place, weight in enumerate(self.weights):
            if weight.grad is not None:
                share, sum_so_far = weight.grad * samples, self.sums[place]
                self.sums[place] = share if sum_so_far is None else sum_so_far.add_(share)
        if not due:
            return None
        for weight, total in zip(self.weights, self.sums, strict=True):
            weight.grad = None if total is None else total / self.samples
        self.sums = [None for _ in self.weights]
        self.samples = 0
        return torch.nn.utils.get_total_norm([w.grad for w in self.weights if w.grad is not None])
