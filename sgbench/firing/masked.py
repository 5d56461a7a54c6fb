"""Analog values in place of some spikes while training."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.firing.base import Firing
from sgbench.firing.curve import curve_slope, require_own_slope
from sgbench.surrogates.base import Surrogate


class Masked(Firing):
    r"""Sends the primitive in place of a spike from a random share of neurons in training; none in evaluation.

    .. math:: s = F(u) + m\,(H(u) - F(u)), \qquad m \sim \mathrm{Bernoulli}(1 - p), \qquad ds/du := \psi(u)

    F is the surrogate's primitive from 0 to 1. The mask is drawn anew in each step; the authors' code keeps one
    until it is reset.

    Args:
        share: p, of neurons that send analog values [1]; with 1 the surrogate needs an area of 1.

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
        """Require the curve's own slope where every neuron sends analog values, since the gradient is then true."""
        if self.share == 1:
            require_own_slope("firing.share=1", surrogate, otherwise=", or firing.share=0.5")

    def fire(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Send spikes; in training a random share of the neurons sends the smooth curve's value instead."""
        spikes = (u > 0).to(u.dtype)
        if not surrogate.training:
            return spikes
        return torch.where(surrogate.uniform(u) < self.share, surrogate.escape_probability(u), spikes)

    def slope(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute the surrogate's slope, or that of the curve that is sent where all neurons are analog."""
        return curve_slope(u, surrogate) if self.share == 1 else surrogate.derivative(u)

    def primitive(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute the integral F(u) of the surrogate, which gives a learned steepness its gradient."""
        return surrogate.escape_probability(u)
