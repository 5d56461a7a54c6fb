"""The clipped linear slope."""

import math

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Surrogate


class Ramp(Surrogate):
    r"""Uses a clipped linear slope, :math:`(1 + \mathrm{clip}(ku, -1, 1))/2`: from 0 below to 1 above threshold.

    stork's `HardTanhSpike` is twice this. Its primitive is a smoothed rectifier, not a smoothed step.

    Args:
        slope: steepness k [1/threshold units].
        normalisation: see `Surrogate`; the peak is 1, the area infinite.

    Source: stork, `HardTanhSpike`.

    >>> surrogate = Ramp(slope=2.0, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([-0.5, 0.0, 0.25, 3.0]))
    tensor([0.0000, 0.5000, 0.7500, 1.0000])
    """

    shape_peak: float = 1.0  # for u >= 1/k
    shape_area: float = math.inf
    shape_fwhm: None = None  # it never falls above threshold

    def __init__(self, *, slope: float, normalisation: str, scale: float) -> None:
        self.steepness = require_number("surrogate.slope", slope, low=SMALLEST, high=LARGEST)
        super().__init__(normalisation=normalisation, scale=scale)

    def shape(self, u: Tensor) -> Tensor:
        return (1 + (self.steepness * u).clamp(-1, 1)) / 2

    def shape_integral(self, u: Tensor) -> Tensor:
        z = self.steepness * u
        return ((1 + z.clamp(-1, 1)).square() / 4 + torch.relu(z - 1)) / self.steepness

    @property
    def shape_support(self) -> tuple[float, float]:
        return -1 / self.steepness, math.inf

    @property
    def shape_kinks(self) -> tuple[float, ...]:
        return -1 / self.steepness, 1 / self.steepness
