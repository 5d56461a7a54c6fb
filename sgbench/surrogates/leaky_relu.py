"""The slope of a leaky rectifier."""

import math

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Surrogate, nan_where_nan


class LeakyRelu(Surrogate):
    """Uses a slope of two constants: k above threshold, the leak at and below it.

    SpikingJelly fires at threshold, and so has the slope k there. With leak 0 this is snnTorch's `heaviside`.

    Args:
        slope_above: slope k above threshold.
        leak: slope at and below threshold, 0 or more.
        normalisation: see `Surrogate`; the peak is the larger of the two, the area infinite.

    Source: SpikingJelly, `activation_based.surrogate.LeakyKReLU`; snnTorch `heaviside`.

    >>> surrogate = LeakyRelu(slope_above=1.0, leak=0.1, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([-3.0, 0.0, 3.0]))
    tensor([0.1000, 0.1000, 1.0000])
    """

    shape_area: float = math.inf
    shape_fwhm: None = None  # it never falls on one side
    shape_kinks: tuple[float, ...] = (0.0,)  # a jump

    def __init__(self, *, slope_above: float, leak: float, normalisation: str, scale: float) -> None:
        self.slope_above = require_number("surrogate.slope_above", slope_above, low=SMALLEST, high=LARGEST)
        self.leak = require_number("surrogate.leak", leak, low=0, high=LARGEST)
        super().__init__(normalisation=normalisation, scale=scale)

    def shape(self, u: Tensor) -> Tensor:
        return nan_where_nan(u, torch.where(u > 0, torch.full_like(u, self.slope_above), self.leak))

    def shape_integral(self, u: Tensor) -> Tensor:
        return self.slope_above * torch.relu(u) - self.leak * torch.relu(-u)

    @property
    def shape_peak(self) -> float:
        return max(self.slope_above, self.leak)

    @property
    def shape_support(self) -> tuple[float, float]:
        return (-math.inf if self.leak else 0.0), math.inf
