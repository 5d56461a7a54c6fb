"""Analog values in place of some spikes while training."""

from typing import ClassVar

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.firing.base import Firing
from sgbench.firing.curve import curve_slope, require_own_slope
from sgbench.surrogates.base import Surrogate


class Masked(Firing):
    r"""Sends a smooth value in place of a spike from a random share of neurons; only spikes in evaluation.

    .. math:: s = F(u) + m\,(H(u) - F(u)), \qquad m \sim \mathrm{Bernoulli}(1 - p), \qquad ds/du := \psi(u)

    for u the potential minus the threshold, psi the surrogate's slope, and F its integral scaled to 0..1. The mask
    m is drawn anew in each step; the authors' code keeps one until its state is reset. With p = 1 the slope is that
    of F.

    Args:
        share: p, share of neurons that send F(u) [1]; with 1 the surrogate needs an area of 1.

    Raises:
        InputError: a share out of [0, 1].

    Source: Wang et al. 2023, ICML (adaptive smoothing gradient learning, ASGL), there with the sigmoid and
    p = 0.5.

    >>> from sgbench.surrogates.triangle import Triangle
    >>> surrogate = Triangle(slope=1.0, width_fwhm=None, normalisation="area1", scale=1.0)
    >>> Masked(share=1.0).begin(surrogate)
    >>> surrogate(torch.tensor([0.5])).item(), surrogate.eval()(torch.tensor([0.5])).item()
    (0.875, 1.0)
    """

    stochastic: ClassVar[bool] = True
    escapes: ClassVar[bool] = True

    def __init__(self, *, share: float) -> None:
        self.share = require_number("firing.share", share, low=0, high=1)

    def check(self, surrogate: Surrogate) -> None:
        """Require a surrogate of area 1 if all neurons send F(u), so that its slope is the derivative of F."""
        if self.share == 1:
            require_own_slope("firing.share=1", surrogate, otherwise=", or firing.share=0.5")

    def fire(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Return spikes; in training a random share of the neurons sends F(u) instead."""
        spikes = (u > 0).to(u.dtype)
        if not surrogate.training:
            return spikes
        return torch.where(surrogate.uniform(u) < self.share, surrogate.escape_probability(u), spikes)

    def slope(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        return curve_slope(u, surrogate) if self.share == 1 else surrogate.derivative(u)

    def primitive(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        return surrogate.escape_probability(u)
