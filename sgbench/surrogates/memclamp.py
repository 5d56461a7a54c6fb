"""The fast sigmoid's slope with the membrane clamped at threshold."""

import math

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Surrogate


class Memclamp(Surrogate):
    r"""Uses the fast sigmoid's slope below threshold and 1 above it, :math:`1 / (1 + k \max(-u, 0))^2`.

    Args:
        slope: steepness k below threshold [1/threshold units].
        normalisation: see `Surrogate`; the peak is 1, the area infinite.

    Source: stork, `SuperSpike_MemClamp`.

    >>> surrogate = Memclamp(slope=10.0, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([-0.1, 0.0, 5.0]))
    tensor([0.2500, 1.0000, 1.0000])
    """

    shape_peak: float = 1.0  # at and above threshold
    shape_area: float = math.inf
    shape_fwhm: None = None  # it never falls above threshold
    shape_kinks: tuple[float, ...] = (0.0,)  # a corner

    def __init__(self, *, slope: float, normalisation: str, scale: float) -> None:
        self.steepness = require_number("surrogate.slope", slope, low=SMALLEST, high=LARGEST)
        super().__init__(normalisation=normalisation, scale=scale)

    def shape(self, u: Tensor) -> Tensor:
        return 1 / (1 + self.steepness * torch.relu(-u)).square()

    def shape_integral(self, u: Tensor) -> Tensor:
        below = torch.relu(-u)
        return torch.relu(u) - below / (1 + self.steepness * below)
