"""The difference of two Gaussian slopes."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Surrogate

WIDEST = 100.0  # spread; beyond it the second Gaussian is a constant


class DoubleGaussian(Surrogate):
    r"""Gaussian slope minus a wide one around the same point, so that it is negative away from threshold.

    .. math:: (1 + p)\,N(u; 0, \sigma) - 2p\,N(u; 0, s\sigma)

    with the normal density :math:`N(u; \mu, \sigma)`.

    Args:
        sigma: standard deviation of the narrow Gaussian [threshold units].
        height: weight p, at most 1; from there on the area would be negative.
        spread: width s of the wide Gaussian in sigmas, from 1 to 100.
        normalisation: see `Surrogate`; the raw area is 1 - p.
        scale: see `Surrogate`; Higuchi et al. use 0.5 with the raw height.

    Source: Higuchi et al. 2024, arXiv:2402.14603; its code, `StepDoubleGaussianGrad`.

    >>> surrogate = DoubleGaussian(sigma=0.5, height=0.15, spread=6.0, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([0.0, 2.0])) > 0
    tensor([ True, False])
    """

    raw_keeps_area: ClassVar[bool] = True

    def __init__(
        self, *, sigma: float, height: float, spread: float, normalisation: str, scale: float
    ) -> None:
        self.sigma = require_number("surrogate.sigma", sigma, low=SMALLEST, high=LARGEST)
        self.height = require_number("surrogate.height", height, low=0, high=1)
        self.spread = require_number("surrogate.spread", spread, low=1, high=WIDEST)
        self.half_width = self._half_width()
        super().__init__(normalisation=normalisation, scale=scale)

    def _form(self, z: float) -> float:
        """The shape at u = z sigma, times sigma sqrt(2 pi)."""
        wide = math.exp(-((z / self.spread) ** 2) / 2)
        return (1 + self.height) * math.exp(-z * z / 2) - 2 * self.height / self.spread * wide

    def _half_width(self) -> float:
        """Where the form has fallen to half, in sigmas, by bisection; from its top to zero it only falls."""
        low, high = 0.0, 4.0
        while low < (middle := (low + high) / 2) < high:
            low, high = (middle, high) if self._form(middle) > self._form(0.0) / 2 else (low, middle)
        return low

    def shape(self, u: Tensor) -> Tensor:
        """The difference of two normal densities."""
        z = u / self.sigma
        unit = 1 / (self.sigma * math.sqrt(2 * math.pi))
        narrow, wide = (torch.exp(-(z / spread).square() / 2) for spread in (1, self.spread))
        return unit * (1 + self.height) * narrow - unit * 2 * self.height / self.spread * wide

    def shape_integral(self, u: Tensor) -> Tensor:
        """The difference of two error functions."""
        z = u / (self.sigma * math.sqrt(2))
        return (1 + self.height) / 2 * torch.erf(z) - self.height * torch.erf(z / self.spread)

    @property
    def shape_peak(self) -> float:
        """The value at threshold."""
        return self._form(0.0) / (self.sigma * math.sqrt(2 * math.pi))

    @property
    def shape_area(self) -> float:
        """1 - p."""
        return 1 - self.height

    @property
    def shape_fwhm(self) -> float:
        """Of the middle lobe; without a closed form."""
        return 2 * self.half_width * self.sigma
