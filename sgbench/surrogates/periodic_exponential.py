"""The exponential slope around every multiple of the threshold."""

import math

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Surrogate

KINKY_PERIODS = 100  # periods whose kinks `shape_kinks` lists


class PeriodicExponential(Surrogate):
    r"""Uses an exponential slope at every multiple of the threshold, for neurons of several spikes per step.

    .. math:: e^{-|u|/w} \text{ for } u < 0, \quad e^{-\rho|r|/w} \text{ for } u \ge 0, \quad
              r = u - \theta \, \mathrm{round}(u/\theta)

    for the potential minus the threshold u. sinabs 3.1.3 has rho = 2; sinabs 2 and Rockpool have rho = 1, and
    divide the slope by the threshold.

    Args:
        width: decay length w below threshold [threshold units].
        narrowing: rho, how many times faster it falls above threshold than below [1].
        threshold: period theta of the slope above threshold.
        normalisation: see `Surrogate`; the peak is 1, the area infinite.

    Source: Weidel & Sheik 2021, arXiv:2111.01456; sinabs 3.1.3 and Rockpool 3.1.0, `PeriodicExponential`.

    >>> surrogate = PeriodicExponential(
    ...     width=0.5, narrowing=2.0, threshold=1.0, normalisation="peak1", scale=1.0
    ... )
    >>> surrogate.derivative(torch.tensor([-0.5 * math.log(2), 0.0, 0.25 * math.log(2), 3.0]))
    tensor([0.5000, 1.0000, 0.5000, 1.0000])
    """

    shape_peak: float = 1.0  # at threshold and every multiple above
    shape_area: float = math.inf  # the slope repeats

    def __init__(self, *, width: float, narrowing: float, threshold: float, normalisation: str, scale: float) -> None:
        self.width = require_number("surrogate.width", width, low=SMALLEST, high=LARGEST)
        self.narrowing = require_number("surrogate.narrowing", narrowing, low=SMALLEST, high=LARGEST)
        self.threshold = require_number("surrogate.threshold", threshold, low=SMALLEST, high=LARGEST)
        super().__init__(normalisation=normalisation, scale=scale)

    def _periods(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return the number of the threshold's multiple nearest to u, and u minus it; both 0 for u < 0."""
        above = torch.relu(u)
        periods = torch.round(above / self.threshold)
        return periods, above - self.threshold * periods

    def shape(self, u: Tensor) -> Tensor:
        """Evaluate the slope exp(-|u|/w) below threshold, exp(-rho |r|/w) above; see the class."""
        _, rest = self._periods(u)
        return torch.exp(-(torch.relu(-u) + self.narrowing * rest.abs()) / self.width)

    def shape_integral(self, u: Tensor) -> Tensor:
        periods, rest = self._periods(u)
        above = self.width / self.narrowing
        per_period = -2 * above * math.expm1(-self.threshold / (2 * above))
        last = -above * torch.sign(rest) * torch.expm1(-rest.abs() / above)
        return self.width * torch.exp(-torch.relu(-u) / self.width) + per_period * periods + last

    @property
    def shape_fwhm(self) -> float | None:
        """Return the full width at half maximum, `width` ln 2 (1 + 1 / `narrowing`); None if lobes overlap."""
        below = self.width * math.log(2)
        above = below / self.narrowing
        return below + above if 2 * above <= self.threshold else None

    @property
    def shape_kinks(self) -> tuple[float, ...]:
        return tuple(self.threshold / 2 * count for count in range(2 * KINKY_PERIODS))
