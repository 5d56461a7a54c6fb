"""Accumulation of the gradients of several batches for one optimiser step."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Accumulation:
    r"""Averages the gradients of several batches, weighted by their numbers of samples.

    .. math:: g = \sum_k n_k g_k \Big/ \sum_k n_k

    g_k is the gradient of the mean loss of batch k with n_k samples. The running mean is stored, not the sum, so no
    intermediate number is larger than the gradients.

    So k batches of B samples give the step of one batch of k B, if samples are independent: statistics of a batch
    normalisation, and penalties that are not linear in samples, are those of each batch. `weights`: parameters whose
    gradients are averaged.

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
        self.clear()

    def clear(self) -> None:
        """Clear the gradients of the batches since the last step."""
        self.means: list[Tensor | None] = [None for _ in self.weights]
        self.samples = 0

    def add(self, samples: int, *, due: bool) -> Tensor | None:
        """Add the weights' gradients of a batch with so many samples to the mean.

        If the step is `due`, set the gradients to the mean, start anew, and return the mean's L2 norm; else return
        None.
        """
        self.samples += samples
        share = samples / self.samples
        for index, weight in enumerate(self.weights):
            before = self.means[index]
            if before is not None:
                before.mul_(1 - share)
            if weight.grad is not None:
                part = weight.grad * share
                self.means[index] = part if before is None else before.add_(part)
        if not due:
            return None
        for weight, mean in zip(self.weights, self.means, strict=True):
            weight.grad = mean
        self.clear()
        return torch.nn.utils.get_total_norm([w.grad for w in self.weights if w.grad is not None])
