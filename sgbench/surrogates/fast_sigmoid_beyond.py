"""The fast sigmoid's slope, only above a border."""

import math

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Surrogate


class FastSigmoidBeyond(Surrogate):
    r"""Uses the slope of the fast sigmoid, :math:`1 / (1 + k|u|)^2`, for :math:`u > B` and 0 elsewhere.

    This is what snnTorch's `SFS` computes; its paper has a window :math:`|u| < B` instead, `sparse_fast_sigmoid`.
    Use it to reproduce results of `SFS`.

    Args:
        slope: steepness k [1/threshold units].
        border: B, the u above which the slope is not 0; 0 or more [threshold units].
        normalisation: see `Surrogate`; the peak is 1/(1 + kB)^2, which is approached at the border, and the area
            1/(k (1 + kB)).

    Source: snnTorch 1.0, `SFS`, equal to it (tested).

    >>> surrogate = FastSigmoidBeyond(slope=10.0, border=0.1, normalisation="raw", scale=1.0)
    >>> surrogate.derivative(torch.tensor([-0.2, 0.0, 0.1, 0.4]))
    tensor([0.0000, 0.0000, 0.0000, 0.0400])
    """

    def __init__(self, *, slope: float, border: float, normalisation: str, scale: float) -> None:
        self.steepness = require_number("surrogate.slope", slope, low=SMALLEST, high=LARGEST)
        self.border = require_number("surrogate.border", border, low=0, high=LARGEST)
        super().__init__(normalisation=normalisation, scale=scale)

    def shape(self, u: Tensor) -> Tensor:
        return (1 + self.steepness * u.abs()).pow(-2) * (u > self.border)

    def shape_integral(self, u: Tensor) -> Tensor:
        start = 1 + self.steepness * self.border
        end = 1 + self.steepness * torch.clamp(u, min=self.border)
        return (1 / start - 1 / end) / self.steepness

    @property
    def shape_peak(self) -> float:
        """Return the slope's supremum before normalisation: 1 / (1 + kB)^2, approached at the border B."""
        return (1 + self.steepness * self.border) ** -2

    @property
    def shape_area(self) -> float:
        return 1 / (self.steepness * (1 + self.steepness * self.border))

    @property
    def shape_fwhm(self) -> float:
        return (math.sqrt(2) - 1) * (1 + self.steepness * self.border) / self.steepness

    @property
    def shape_support(self) -> tuple[float, float]:
        return self.border, math.inf
