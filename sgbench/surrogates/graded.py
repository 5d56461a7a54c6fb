"""Spikes as large as the potential, with an exponential slope below threshold."""

import math

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Output, Surrogate


class Graded(Surrogate):
    r"""Sends the potential v itself as a graded spike; the slope is 1 above threshold, exponential below.

    .. math:: s = v\,H(u), \qquad \mathrm{shape} = e^{\min(u, 0)/\tau}, \qquad v = u + \theta

    Args:
        width: tau, decay length of the slope below threshold [threshold units].
        threshold: theta, equal to the neuron's threshold [units of v].
        normalisation: see `Surrogate`; the peak is 1, the area infinite.

    Source: lava-dl d825ac5, graded spike of SLAYER.

    >>> surrogate = Graded(width=1.0, threshold=1.0, normalisation="raw", scale=1.0)
    >>> surrogate(torch.tensor([-0.5, 0.5])).tolist()
    [0.0, 1.5]
    """

    output: Output = "real"
    shape_peak: float = 1.0  # from threshold on
    shape_area: float = math.inf
    shape_fwhm: None = None  # it never falls above threshold
    shape_kinks: tuple[float, ...] = (0.0,)  # a corner

    def __init__(self, *, width: float, threshold: float, normalisation: str, scale: float) -> None:
        self.width = require_number("surrogate.width", width, low=SMALLEST, high=LARGEST)
        self.threshold = require_number("surrogate.threshold", threshold, low=SMALLEST, high=LARGEST)
        super().__init__(normalisation=normalisation, scale=scale)

    def fire(self, u: Tensor) -> Tensor:
        return torch.where(u > 0, u + self.threshold, torch.zeros_like(u))

    def shape(self, u: Tensor) -> Tensor:
        return torch.exp(-torch.relu(-u) / self.width)

    def shape_integral(self, u: Tensor) -> Tensor:
        return self.width * torch.exp(-torch.relu(-u) / self.width) + torch.relu(u)
