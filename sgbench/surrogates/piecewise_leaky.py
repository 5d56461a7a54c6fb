"""The boxcar slope with a leak."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Surrogate, nan_where_nan


class PiecewiseLeaky(Surrogate):
    r"""Uses a boxcar slope with a leak, :math:`1/(2w)` for :math:`|u| < w`, else c, before normalisation.

    Args:
        half_width: half-width w of the boxcar [threshold units].
        leak: slope c outside the boxcar, 0 or more.
        normalisation: see `Surrogate`; the raw peak is the larger of the two slopes, and the area infinite unless
            c = 0, where it is 1.

    Source: SpikingJelly, `activation_based.surrogate.PiecewiseLeakyReLU`.

    >>> surrogate = PiecewiseLeaky(half_width=1.0, leak=0.1, normalisation="raw", scale=1.0)
    >>> surrogate.derivative(torch.tensor([-2.0, 0.0, 0.9, 2.0]))
    tensor([0.1000, 0.5000, 0.5000, 0.1000])
    """

    raw_keeps_area: ClassVar[bool] = True

    def __init__(self, *, half_width: float, leak: float, normalisation: str, scale: float) -> None:
        self.half_width = require_number("surrogate.half_width", half_width, low=SMALLEST, high=LARGEST)
        self.leak = require_number("surrogate.leak", leak, low=0, high=LARGEST)
        self.inside = 1 / (2 * self.half_width)
        super().__init__(normalisation=normalisation, scale=scale)

    def shape(self, u: Tensor) -> Tensor:
        inside = torch.full_like(u, self.inside)
        return nan_where_nan(u, torch.where(u.abs() < self.half_width, inside, self.leak))

    def shape_integral(self, u: Tensor) -> Tensor:
        inside = u.clamp(-self.half_width, self.half_width)
        return self.inside * inside + self.leak * (u - inside)

    @property
    def shape_peak(self) -> float:
        return max(self.inside, self.leak)

    @property
    def shape_area(self) -> float:
        return math.inf if self.leak else 1.0

    @property
    def shape_fwhm(self) -> float | None:
        return 2 * self.half_width if self.leak < self.inside / 2 else None

    @property
    def shape_support(self) -> tuple[float, float]:
        edge = math.inf if self.leak else self.half_width
        return -edge, edge

    @property
    def shape_kinks(self) -> tuple[float, ...]:
        return -self.half_width, self.half_width
