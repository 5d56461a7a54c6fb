"""The slope of a square wave's Fourier series."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.errors import InputError, require_count, require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Surrogate

MOST_TERMS = 64  # each costs a cosine per call


class SquarewaveFourier(Surrogate):
    r"""Uses the slope of a square wave's Fourier series of n terms: periodic, with lobes of both signs.

    .. math:: \frac 4 T \sum_{i=1}^{n} \cos \frac{2\pi (2i - 1) u}{T}

    braintools 0.3 has n terms too; SpikingJelly 2.0 has n - 1.

    Args:
        terms: number n of cosines.
        period: period T [threshold units].
        normalisation: see `Surrogate`; the raw peak is 4n/T; there is no area, as it is periodic.

    Source: SpikingJelly, `activation_based.surrogate.SquarewaveFourierSeries`.

    >>> surrogate = SquarewaveFourier(terms=2, period=8.0, normalisation="raw", scale=1.0)
    >>> surrogate.derivative(torch.tensor([0.0, 4.0, 8.0]))
    tensor([ 1., -1.,  1.])
    """

    raw_keeps_area: ClassVar[bool] = True
    shape_area: None = None  # the integral of a periodic slope does not converge

    def __init__(self, *, terms: int, period: float, normalisation: str, scale: float) -> None:
        self.terms = require_count("surrogate.terms", terms)
        if self.terms > MOST_TERMS:
            raise InputError(f"surrogate.terms={terms}: a whole number of at most {MOST_TERMS} is needed")
        self.period = require_number("surrogate.period", period, low=SMALLEST, high=LARGEST)
        self.half_width = self._half_width()
        super().__init__(normalisation=normalisation, scale=scale)

    def _half_width(self) -> float:
        """Find by bisection the angle at which the sum of cosines falls to half of its peak [rad]."""
        low, high = 0.0, math.pi / (2 * self.terms)
        while low < (middle := (low + high) / 2) < high:
            value = sum(math.cos(order * middle) for order in self._orders())
            low, high = (middle, high) if value > self.terms / 2 else (low, middle)
        return low

    def _orders(self) -> range:
        """Return the odd orders 1, 3, ..., 2n - 1 of the cosines; n is `terms`."""
        return range(1, 2 * self.terms, 2)

    def _angle(self, u: Tensor) -> Tensor:
        """Convert u to the angle 2 pi u/T, without whole turns, which would cost precision [rad]; T is `period`."""
        turns = u / self.period
        return 2 * math.pi * (turns - torch.round(turns))

    def shape(self, u: Tensor) -> Tensor:
        """Sum the derivatives of the series' sines, each of which is a cosine."""
        angle = self._angle(u)
        total = torch.cos(angle)
        for order in self._orders()[1:]:
            total = total + torch.cos(order * angle)
        return 4 / self.period * total

    def shape_integral(self, u: Tensor) -> Tensor:
        """Sum the series of a square wave: odd sines, each divided by its order."""
        angle = self._angle(u)
        total = torch.sin(angle)
        for order in self._orders()[1:]:
            total = total + torch.sin(order * angle) / order
        return 2 / math.pi * total

    @property
    def shape_peak(self) -> float:
        return 4 * self.terms / self.period

    @property
    def shape_fwhm(self) -> float:
        return self.half_width / math.pi * self.period
