"""Several spikes per step, with slope 1 between none and all of them."""

from __future__ import annotations

import torch
from torch import Tensor

from sgbench.errors import require_count, require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Output, Surrogate


class Multilevel(Surrogate):
    r"""Spikes are the potential in thresholds, rounded and cut to n; slope 1 where it is not cut.

    .. math:: s = \mathrm{round}(\mathrm{clip}(v/\theta, 0, n)), \quad
              \mathrm{shape} = 1 \text{ for } 0 < v < n\theta

    with :math:`v = u + \theta`. An inference with s spikes costs as many events.

    Args:
        levels: n, the most spikes of a step.
        threshold: theta, by which the potential is counted [threshold units of the neuron].
        normalisation: see `Surrogate`; the peak is 1 and the area n theta.
        scale: see `Surrogate`.

    Source: Luo et al. 2024, arXiv:2407.20708 (integer LIF); SpikingJelly 2.0, `MultiLevelSpikeCount`.

    >>> surrogate = Multilevel(levels=4, threshold=1.0, normalisation="raw", scale=1.0)
    >>> surrogate(torch.tensor([-1.2, -0.4, 0.2, 9.0])).tolist()
    [0.0, 1.0, 1.0, 4.0]
    """

    output: Output = "integer"

    def __init__(self, *, levels: int, threshold: float, normalisation: str, scale: float) -> None:
        self.levels = require_count("surrogate.levels", levels)
        self.threshold = require_number("surrogate.threshold", threshold, low=SMALLEST, high=LARGEST)
        super().__init__(normalisation=normalisation, scale=scale)

    def fire(self, u: Tensor) -> Tensor:
        """0, 1, ..., n."""
        return torch.round((u / self.threshold + 1).clamp(0, self.levels))

    def shape(self, u: Tensor) -> Tensor:
        """1 for -theta < u < (n - 1) theta."""
        low, high = self.shape_support
        return ((u > low) & (u < high)).to(u.dtype)

    def shape_integral(self, u: Tensor) -> Tensor:
        """u cut to the same interval."""
        return u.clamp(*self.shape_support)

    @property
    def shape_peak(self) -> float:
        """1."""
        return 1.0

    @property
    def shape_area(self) -> float:
        """n theta."""
        return self.levels * self.threshold

    @property
    def shape_fwhm(self) -> float:
        """n theta."""
        return self.levels * self.threshold

    @property
    def shape_support(self) -> tuple[float, float]:
        """From no potential to that of n spikes."""
        return -self.threshold, (self.levels - 1) * self.threshold
