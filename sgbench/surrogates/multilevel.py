"""Several spikes per step, with slope 1 between none and all of them."""

import torch
from torch import Tensor

from sgbench.errors import require_count, require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Output, Surrogate, nan_where_nan


class Multilevel(Surrogate):
    r"""Counts how many units of potential are reached, rounded and clipped to 0..n; slope 1 inside that range.

    .. math:: s = \mathrm{round}(\mathrm{clip}(v/\theta, 0, n)), \quad
              \mathrm{shape} = 1 \text{ for } 0 < v < n\theta

    for the potential minus the threshold u, and :math:`v = u + b`. Energy counts s spikes in a step as s events.

    Args:
        levels: n, largest number of spikes in a step.
        unit: theta, potential per spike [threshold units].
        shift: b, added to u before counting [threshold units]. As u is 0 at threshold, a b of one threshold
            counts from zero potential.
        normalisation: see `Surrogate`; the peak is 1 and the area n theta.

    Source: Luo et al. 2024, arXiv:2407.20708 (integer LIF); SpikingJelly 2.0, `MultiLevelSpikeCount`; with
    shift 1/2 and 5 levels, BrainCog 0.2.7.19, `RoundGrad`.

    >>> surrogate = Multilevel(levels=4, unit=1.0, shift=1.0, normalisation="raw", scale=1.0)
    >>> surrogate(torch.tensor([-1.2, -0.4, 0.2, 9.0])).tolist()
    [0.0, 1.0, 1.0, 4.0]
    """

    output: Output = "integer"
    shape_peak: float = 1.0  # wherever it is not 0

    def __init__(self, *, levels: int, unit: float, shift: float, normalisation: str, scale: float) -> None:
        self.levels = require_count("surrogate.levels", levels)
        self.unit = require_number("surrogate.unit", unit, low=SMALLEST, high=LARGEST)
        self.shift = require_number("surrogate.shift", shift, low=-LARGEST, high=LARGEST)
        super().__init__(normalisation=normalisation, scale=scale)

    def fire(self, u: Tensor) -> Tensor:
        return torch.round(((u + self.shift) / self.unit).clamp(0, self.levels))

    def shape(self, u: Tensor) -> Tensor:
        low, high = self.shape_support
        return nan_where_nan(u, ((u > low) & (u < high)).to(u.dtype))

    def shape_integral(self, u: Tensor) -> Tensor:
        return u.clamp(*self.shape_support)

    @property
    def shape_area(self) -> float:
        return self.levels * self.unit

    @property
    def shape_fwhm(self) -> float:
        return self.levels * self.unit

    @property
    def shape_support(self) -> tuple[float, float]:
        return -self.shift, self.levels * self.unit - self.shift
