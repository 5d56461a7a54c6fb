"""Dropout with one mask for all time steps."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from sgbench.dropouts.base import Dropout, Mask
from sgbench.errors import InputError, require_number


class SharedMask(Dropout):
    r"""Drops a neuron's spikes to the next layer in all time steps of a sample, or in none.

    .. math:: x'_i[t] = \frac{m_i}{1 - p} \, x_i[t], \qquad m_i \sim \mathrm{Bernoulli}(1 - p)

    for the spikes x and x' of neuron i before and after the mask m, which is drawn anew for each sample and neuron
    in every pass. Masks that change from step to step would average out, as the membrane sums over steps. The
    network's input and recurrent spikes are not dropped, and nothing in evaluation.

    Args:
        rate: probability p that a neuron is dropped, in [0, 1).

    Raises:
        InputError: a rate out of range.

    Source: Lee, Sarwar, Panda, Srinivasan & Roy 2020, Frontiers in Neuroscience 14:119 (one set of units for the
    whole time window); Gal & Ghahramani 2016, NeurIPS, arXiv:1512.05287 (one mask over time).

    >>> import torch
    >>> mask = SharedMask(rate=0.5).make()
    >>> x = mask(torch.ones(2, 1, 4))
    >>> bool((x[0] == x[1]).all()), sorted(set(x.flatten().tolist()))
    (True, [0.0, 2.0])
    """

    def __init__(self, *, rate: float) -> None:
        self.rate = require_number("dropout.rate", rate, low=0, high=1)
        if self.rate == 1:
            raise InputError("dropout.rate=1: nothing would be left; a rate below 1 is needed")

    def make(self) -> SharedOverTime:
        return SharedOverTime(self.rate)


class SharedOverTime(Mask):
    """Drops the same neurons in all steps of a sample; see `SharedMask`.

    Args:
        rate: probability p that a neuron is dropped.
    """

    why_all_steps: ClassVar[str] = "share the mask that drops a part of them"

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def dropped(self, x: Tensor) -> Tensor:
        """Return x [T, B, N] with neurons dropped by one mask [B, N], and the others scaled by 1 / (1 - p)."""
        kept = self.uniform(*x.shape[1:]) >= self.rate
        return x * (kept.to(x) / (1 - self.rate))
