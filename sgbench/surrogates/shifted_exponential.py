"""The two-sided exponential slope around another point than the threshold."""

import math

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Surrogate


class ShiftedExponential(Surrogate):
    r"""Uses a two-sided exponential slope around a point u_0, :math:`e^{-k|u - u_0|}`.

    snnTorch's `spike_rate_escape(beta, slope)` subtracts the threshold twice: k = beta, u0 = 1, scale = slope.

    Args:
        slope: steepness k [1/threshold units].
        shift: the point u0 where the slope is largest [threshold units].
        normalisation: see `Surrogate`; the peak is 1, at u0, and the area 2/k.

    Source: snnTorch 1.0, `spike_rate_escape`.

    >>> surrogate = ShiftedExponential(slope=math.log(2), shift=1.0, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([0.0, 1.0, 3.0]))
    tensor([0.5000, 1.0000, 0.2500])
    """

    shape_peak: float = 1.0  # at u0

    def __init__(self, *, slope: float, shift: float, normalisation: str, scale: float) -> None:
        self.steepness = require_number("surrogate.slope", slope, low=SMALLEST, high=LARGEST)
        self.shift = require_number("surrogate.shift", shift, low=-LARGEST, high=LARGEST)
        super().__init__(normalisation=normalisation, scale=scale)

    def shape(self, u: Tensor) -> Tensor:
        return torch.exp(-self.steepness * (u - self.shift).abs())

    def shape_integral(self, u: Tensor) -> Tensor:
        distance = u - self.shift
        return -torch.sign(distance) / self.steepness * torch.expm1(-self.steepness * distance.abs())

    @property
    def shape_area(self) -> float:
        return 2 / self.steepness

    @property
    def shape_fwhm(self) -> float:
        return 2 * math.log(2) / self.steepness

    @property
    def shape_kinks(self) -> tuple[float, ...]:
        return (self.shift,)
