"""A window whose slope rises with the potential."""

from __future__ import annotations

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Surrogate
from sgbench.surrogates.undefined import nan_where_nan

LEAST_OFFSET = 0.5  # below it the slope would be negative at the window's lower end


class RisingWindow(Surrogate):
    r"""Uses a slope that rises over a window, :math:`u / (2\beta) + h` for :math:`|u| \le \beta` and 0 elsewhere.

    It gives more gradient to neurons that are nearer to a spike or beyond threshold. A2SG searches for the beta of
    each layer and step anew; here beta is fixed.

    Args:
        half_width: beta [threshold units].
        offset: h, the slope at threshold, 0.5 or more [1/threshold units].
        normalisation: see `Surrogate`; the peak is 1/2 + h and the area 2 beta h.
        scale: see `Surrogate`.

    Raises:
        InputError: a value out of range.

    Source: Kang et al. 2026, ICML (A2SG), arXiv:2606.11236, its asymmetric function.

    >>> surrogate = RisingWindow(half_width=2.0, offset=0.5, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([-3.0, -1.0, 0.0, 2.0, 2.1]))
    tensor([0.0000, 0.2500, 0.5000, 1.0000, 0.0000])
    """

    def __init__(self, *, half_width: float, offset: float, normalisation: str, scale: float) -> None:
        self.half_width = require_number("surrogate.half_width", half_width, low=SMALLEST, high=LARGEST)
        self.offset = require_number("surrogate.offset", offset, low=LEAST_OFFSET, high=LARGEST)
        super().__init__(normalisation=normalisation, scale=scale)

    def shape(self, u: Tensor) -> Tensor:
        """Evaluate the slope u / (2 beta) + h within the window, 0 outside."""
        rising = u / (2 * self.half_width) + self.offset
        return nan_where_nan(u, torch.where(u.abs() <= self.half_width, rising, 0.0))

    def shape_integral(self, u: Tensor) -> Tensor:
        """Integrate the slope from 0 to u: y^2 / (4 beta) + h y, with y = u cut to the window."""
        inside = u.clamp(-self.half_width, self.half_width)
        return inside.square() / (4 * self.half_width) + self.offset * inside

    @property
    def shape_peak(self) -> float:
        """Return the slope at the window's upper end: 1/2 + h."""
        return 0.5 + self.offset

    @property
    def shape_area(self) -> float:
        """Return the area under the slope before normalisation: 2 beta h."""
        return 2 * self.half_width * self.offset

    @property
    def shape_fwhm(self) -> float:
        """Return the way from where the slope is half its peak, or from the lower end, to the upper end."""
        return self.half_width * min(2.0, self.offset + 0.5)

    @property
    def shape_support(self) -> tuple[float, float]:
        """Return the ends of the window."""
        return -self.half_width, self.half_width
