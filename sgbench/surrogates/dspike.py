"""The slope of the differentiable spike."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.surrogates.base import SMALLEST, Surrogate

EDGE = 0.5  # half-width of the support
SHARPEST = 1e4


class Dspike(Surrogate):
    r"""Uses the slope of a tanh, :math:`\frac{b}{2\tanh(b/2)} \mathrm{sech}^2(bu)`, for :math:`|u| \le 1/2`.

    Its primitive rises from 0 at u = -1/2 to 1 at u = 1/2. The slope tends to a boxcar of width 1 for b to 0, and
    the primitive to a step for b to infinity. Li et al. adapt b during training by finite differences of the loss.

    Args:
        sharpness: b, up to 1e4.
        normalisation: see `Surrogate`; the raw peak is b/(2 tanh(b/2)) and the raw area 1.

    Source: Li et al. 2021, "Differentiable spike", NeurIPS.

    >>> surrogate = Dspike(sharpness=3.0, normalisation="raw", scale=1.0)
    >>> surrogate.derivative(torch.tensor([-0.6, 0.0, 0.6]))
    tensor([0.0000, 1.6572, 0.0000])
    """

    raw_keeps_area: ClassVar[bool] = True
    shape_area: float = 1.0  # whatever the sharpness
    shape_support: tuple[float, float] = -EDGE, EDGE  # half a threshold unit to both sides

    def __init__(self, *, sharpness: float, normalisation: str, scale: float) -> None:
        self.sharpness = require_number("surrogate.sharpness", sharpness, low=SMALLEST, high=SHARPEST)
        super().__init__(normalisation=normalisation, scale=scale)

    def shape(self, u: Tensor) -> Tensor:
        """Compute the peak times sech^2(bu) for |u| <= 1/2, else 0, without overflow; b is `sharpness`."""
        decay = torch.exp(-2 * self.sharpness * u.abs())
        return torch.where(u.abs() > EDGE, 0, self.shape_peak * 4 * decay / (1 + decay).square())

    def shape_integral(self, u: Tensor) -> Tensor:
        inside = u.clamp(-EDGE, EDGE)
        return torch.tanh(self.sharpness * inside) / (2 * math.tanh(self.sharpness / 2)) + 1 / 2

    @property
    def shape_peak(self) -> float:
        return self.sharpness / (2 * math.tanh(self.sharpness / 2))

    @property
    def shape_fwhm(self) -> float:
        """Return the slope's full width at half maximum: that of sech^2, or the support where that is narrower."""
        return 2 * min(math.acosh(math.sqrt(2)) / self.sharpness, EDGE)
