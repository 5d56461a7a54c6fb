"""The difference of two Gaussian slopes."""

import math

import torch
from torch import Tensor

from sgbench.surrogates.lobed import LobedSurrogate


class DoubleGaussian(LobedSurrogate):
    r"""Subtracts a wide Gaussian around the same point from a Gaussian slope: negative away from threshold.

    .. math:: (1 + p)\,N(u; 0, \sigma) - 2p\,N(u; 0, s\sigma)

    with :math:`N(u; \mu, \sigma)` the normal density of mean mu and standard deviation sigma.

    Args:
        sigma: standard deviation of the narrow Gaussian [threshold units].
        height: weight p, 0 to 1; above 1 the area would be negative.
        spread: width s of the wide Gaussian in sigmas, from 1 to 100.
        normalisation: see `Surrogate`; the raw area is 1 - p.
        scale: see `Surrogate`; Higuchi et al. use 0.5 with the raw height.

    Source: Higuchi et al. 2024, arXiv:2402.14603; its code, `StepDoubleGaussianGrad`.

    >>> surrogate = DoubleGaussian(sigma=0.5, height=0.15, spread=6.0, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([0.0, 2.0])) > 0
    tensor([ True, False])
    """

    def form(self, z: float) -> float:
        wide = math.exp(-((z / self.spread) ** 2) / 2)
        return (1 + self.height) * math.exp(-z * z / 2) - 2 * self.height / self.spread * wide

    def shape(self, u: Tensor) -> Tensor:
        z = u / self.sigma
        unit = 1 / (self.sigma * math.sqrt(2 * math.pi))
        narrow, wide = (torch.exp(-(z / spread).square() / 2) for spread in (1, self.spread))
        return unit * (1 + self.height) * narrow - unit * 2 * self.height / self.spread * wide

    def shape_integral(self, u: Tensor) -> Tensor:
        z = u / (self.sigma * math.sqrt(2))
        return (1 + self.height) / 2 * torch.erf(z) - self.height * torch.erf(z / self.spread)
