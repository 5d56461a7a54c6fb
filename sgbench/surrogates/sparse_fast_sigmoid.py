"""The fast sigmoid's slope within a window."""

import math

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Surrogate


class SparseFastSigmoid(Surrogate):
    r"""Uses the slope of the fast sigmoid, :math:`1 / (1 + k|u|)^2` for :math:`|u| < B` and 0 elsewhere.

    Neurons further than B from threshold get no gradient, so that a backward pass may skip them. This is the
    paper's window; snnTorch 1.0's `SFS` has the slope for u > B instead, see `fast_sigmoid_beyond`.

    Args:
        slope: steepness k [1/threshold units].
        window: half-width B of the window [threshold units].
        normalisation: see `Surrogate`; the peak is 1 and the area 2B/(1 + kB).

    Source: Perez-Nieves & Goodman 2021, "Sparse spiking gradient descent", NeurIPS.

    >>> surrogate = SparseFastSigmoid(slope=10.0, window=0.2, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([-0.3, -0.1, 0.0, 0.1]))
    tensor([0.0000, 0.2500, 1.0000, 0.2500])
    """

    shape_peak: float = 1.0  # at threshold

    def __init__(self, *, slope: float, window: float, normalisation: str, scale: float) -> None:
        self.steepness = require_number("surrogate.slope", slope, low=SMALLEST, high=LARGEST)
        self.window = require_number("surrogate.window", window, low=SMALLEST, high=LARGEST)
        super().__init__(normalisation=normalisation, scale=scale)

    def shape(self, u: Tensor) -> Tensor:
        return torch.where(u.abs() >= self.window, 0, 1 / (1 + self.steepness * u.abs()).square())

    def shape_integral(self, u: Tensor) -> Tensor:
        inside = u.clamp(-self.window, self.window)
        return inside / (1 + self.steepness * inside.abs())

    @property
    def shape_area(self) -> float:
        return 2 * self.window / (1 + self.steepness * self.window)

    @property
    def shape_fwhm(self) -> float:
        return 2 * min((math.sqrt(2) - 1) / self.steepness, self.window)

    @property
    def shape_support(self) -> tuple[float, float]:
        return -self.window, self.window

    @property
    def shape_kinks(self) -> tuple[float, ...]:
        return -self.window, 0.0, self.window
