"""The slope of a sigmoid joined to a logarithm."""

import math

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Surrogate


class S2nn(Surrogate):
    r"""Uses the slope of a sigmoid below threshold, and that of a logarithm above it.

    .. math:: \alpha\,\sigma(\alpha u)(1 - \sigma(\alpha u)) \text{ for } u < 0, \quad
              \beta / (1 + u) \text{ for } u \ge 0

    with the logistic function sigma. It is continuous at threshold only for :math:`\beta = \alpha/4`, the default.

    Args:
        alpha: steepness of the sigmoid below threshold [1/threshold units].
        beta: slope at threshold, the largest above it.
        normalisation: see `Surrogate`; the raw peak is the larger of alpha/4 and beta, the area infinite.

    Source: Suetake et al. 2022, arXiv:2201.10879 (S2NN); SpikingJelly `S2NN`.

    >>> surrogate = S2nn(alpha=4.0, beta=1.0, normalisation="raw", scale=1.0)
    >>> surrogate.derivative(torch.tensor([-100.0, 0.0, 1.0, 3.0]))
    tensor([0.0000, 1.0000, 0.5000, 0.2500])
    """

    shape_area: float = math.inf
    shape_kinks: tuple[float, ...] = (0.0,)  # a corner or jump, where the two sides meet

    def __init__(self, *, alpha: float, beta: float, normalisation: str, scale: float) -> None:
        self.alpha = require_number("surrogate.alpha", alpha, low=SMALLEST, high=LARGEST)
        self.beta = require_number("surrogate.beta", beta, low=SMALLEST, high=LARGEST)
        super().__init__(normalisation=normalisation, scale=scale)

    def shape(self, u: Tensor) -> Tensor:
        """Evaluate the slope; both sides are computed at |u|, so that neither overflows."""
        decay = torch.exp(-self.alpha * u.abs())
        return torch.where(u < 0, self.alpha * decay / (1 + decay).square(), self.beta / (1 + u.abs()))

    def shape_integral(self, u: Tensor) -> Tensor:
        return torch.sigmoid(-self.alpha * torch.relu(-u)) + self.beta * torch.log1p(torch.relu(u))

    @property
    def shape_peak(self) -> float:
        return max(self.alpha / 4, self.beta)

    @property
    def shape_fwhm(self) -> float:
        """Return the full width at half maximum: the sides left and right of the threshold differ."""
        half = self.shape_peak / 2
        left = 2 / self.alpha * math.acosh(math.sqrt(max(self.alpha / 4 / half, 1)))
        return left + max(self.beta / half - 1, 0)
