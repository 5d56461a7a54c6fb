"""A slope of 1 above threshold and of random noise below."""

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.surrogates.base import Surrogate, nan_where_nan


class StochasticBackward(Surrogate):
    r"""Uses slope 1 above threshold, and below it noise drawn in each backward pass, :math:`(U + \mu)\sigma^2`.

    U is uniform in [-1/2, 1/2), drawn for each element from the surrogate's own generator; snnTorch uses the global
    one.

    Args:
        mean: mu, added to the noise [1].
        variance: sigma^2, factor on the noise [1].
        normalisation: see `Surrogate`; the peak is 1, or the largest possible noise if that is larger; no area.

    Source: snnTorch 1.0, `SSO` (stochastic spike operator).

    >>> surrogate = StochasticBackward(mean=0.0, variance=0.2, normalisation="raw", scale=1.0)
    >>> slopes = surrogate.derivative(torch.full((1000,), -1.0))
    >>> surrogate.derivative(torch.ones(1)).item(), bool(slopes.abs().max() <= 0.1)
    (1.0, True)
    """

    stochastic = True
    shape_area: None = None  # undefined, as the noise changes in each pass
    shape_fwhm: None = None  # noise has no width at half maximum
    shape_kinks: tuple[float, ...] = (0.0,)  # a jump

    def __init__(self, *, mean: float, variance: float, normalisation: str, scale: float) -> None:
        self.mean = require_number("surrogate.mean", mean, low=-1e3, high=1e3)
        self.variance = require_number("surrogate.variance", variance, low=0, high=1e3)
        super().__init__(normalisation=normalisation, scale=scale)

    def shape(self, u: Tensor) -> Tensor:
        noise = (self.uniform(u) - 0.5 + self.mean) * self.variance
        return nan_where_nan(u, torch.where(u > 0, torch.ones_like(u), noise))

    @property
    def shape_peak(self) -> float:
        return max(1.0, (abs(self.mean) + 0.5) * self.variance)
