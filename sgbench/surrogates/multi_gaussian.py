"""A Gaussian slope with negative lobes beside it."""

import math

import torch
from torch import Tensor

from sgbench.surrogates.lobed import LobedSurrogate


class MultiGaussian(LobedSurrogate):
    r"""Subtracts a wide Gaussian on each side from a Gaussian slope: negative away from threshold.

    .. math:: (1 + h)\,N(u; 0, \sigma) - h\,N(u; \sigma, s\sigma) - h\,N(u; -\sigma, s\sigma)

    with :math:`N(u; \mu, \sigma)` the normal density of mean mu and standard deviation sigma.

    Args:
        sigma: standard deviation of the middle Gaussian [threshold units].
        height: weight h of each side, 0 to 1; above 1 the area would be negative.
        spread: width s of the sides in sigmas, from 1 to 100.
        normalisation: see `Surrogate`; the raw area is 1 - h.
        scale: see `Surrogate`; Yin et al. use 0.5 with the raw height.

    Source: Yin, Corradi & Bohté 2021, Nature Machine Intelligence 3; sinabs 3.1.3, `MultiGaussian`.

    >>> surrogate = MultiGaussian(sigma=0.5, height=0.15, spread=6.0, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([0.0, 2.0])) > 0
    tensor([ True, False])
    """

    def form(self, z: float) -> float:
        sides = sum(math.exp(-(((z - side) / self.spread) ** 2) / 2) for side in (1, -1))
        return (1 + self.height) * math.exp(-z * z / 2) - self.height / self.spread * sides

    def shape(self, u: Tensor) -> Tensor:
        z = u / self.sigma
        unit = 1 / (self.sigma * math.sqrt(2 * math.pi))
        left, right = (torch.exp(-((z + side) / self.spread).square() / 2) for side in (1, -1))
        middle = torch.exp(-z.square() / 2)
        return unit * (1 + self.height) * middle - unit * self.height / self.spread * (left + right)

    def shape_integral(self, u: Tensor) -> Tensor:
        z = u / (self.sigma * math.sqrt(2))
        offset = 1 / math.sqrt(2)
        left, right = (torch.erf((z + side) / self.spread) for side in (offset, -offset))
        return (1 + self.height) / 2 * torch.erf(z) - self.height / 2 * (left + right)
