"""Dropout whose mask all time steps share."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from sgbench.dropouts.base import Dropout
from sgbench.dropouts.mask import Mask
from sgbench.errors import InputError, require_number


class SharedMask(Dropout):
    r"""Silences neurons to the next layer for whole samples; the others are heard in all time steps.

    .. math:: x'_i[t] = \frac{m_i}{1 - p} \, x_i[t], \qquad m_i \sim \mathrm{Bernoulli}(1 - p)

    with one m for each sample and neuron, drawn anew in every pass. A mask of each step would average out over
    time, as the membrane sums over steps. Nothing is dropped of the network's input or of recurrent spikes, and
    nothing in evaluation.

    Args:
        rate: p, in [0, 1).

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
        """Make a mask that all time steps of one layer's input share."""
        return SharedOverTime(self.rate)


class SharedOverTime(Mask):
    """Drops the same neurons of one layer in all steps of a sample; see `SharedMask`.

    Args:
        rate: p.
    """

    why_all_steps: ClassVar[str] = "share the mask that drops a part of them"

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def dropped(self, x: Tensor) -> Tensor:
        """Drop a neuron in all steps of a sample or in none, by one mask for each sample and neuron [B, N]."""
        kept = self.uniform(*x.shape[1:]) >= self.rate
        return x * (kept.to(x) / (1 - self.rate))
