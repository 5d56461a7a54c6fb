"""The slope of tanh plus a constant."""

import math

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Surrogate


class OffsetSigmoid(Surrogate):
    r"""Uses a constant plus the slope of tanh, :math:`c + \mathrm{sech}^2(ku)`.

    Args:
        slope: steepness k [1/threshold units].
        offset: constant c, 0 or more.
        normalisation: see `Surrogate`; the raw peak is 1 + c, and the area infinite unless c = 0, where it is 2/k.

    Source: stork, `TanhSpike` (c = 1).

    >>> surrogate = OffsetSigmoid(slope=100.0, offset=1.0, normalisation="raw", scale=1.0)
    >>> surrogate.derivative(torch.tensor([-100.0, 0.0, 100.0]))
    tensor([1., 2., 1.])
    """

    def __init__(self, *, slope: float, offset: float, normalisation: str, scale: float) -> None:
        self.steepness = require_number("surrogate.slope", slope, low=SMALLEST, high=LARGEST)
        self.offset = require_number("surrogate.offset", offset, low=0, high=LARGEST)
        super().__init__(normalisation=normalisation, scale=scale)

    def shape(self, u: Tensor) -> Tensor:
        """Evaluate the slope c + sech^2(ku), elementwise, without overflow; c is `offset`, k the steepness."""
        decay = torch.exp(-2 * self.steepness * u.abs())
        return self.offset + 4 * decay / (1 + decay).square()

    def shape_integral(self, u: Tensor) -> Tensor:
        return self.offset * u + torch.tanh(self.steepness * u) / self.steepness

    @property
    def shape_peak(self) -> float:
        return 1 + self.offset

    @property
    def shape_area(self) -> float:
        return math.inf if self.offset else 2 / self.steepness

    @property
    def shape_fwhm(self) -> float | None:
        """Return the full width at half maximum, which grows with the offset; None for one of 1 or more."""
        if self.offset >= 1:
            return None
        return 2 * math.acosh(math.sqrt(2 / (1 - self.offset))) / self.steepness
