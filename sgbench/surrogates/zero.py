"""The true gradient of a spike."""

from __future__ import annotations

import torch
from torch import Tensor

from sgbench.surrogates.base import Surrogate
from sgbench.surrogates.undefined import nan_where_nan


class Zero(Surrogate):
    """Uses slope 0 everywhere: the true derivative of the step, a control under which only the readout learns.

    Args:
        normalisation: raw; there is no peak or area to normalise.
        scale: see `Surrogate`; without effect.

    Source: Neftci, Mostafa & Zenke 2019, IEEE Signal Processing Magazine 36(6), section IV.

    >>> Zero(normalisation="raw", scale=1.0).derivative(torch.tensor([-0.1, 0.1]))
    tensor([0., 0.])
    """

    def shape(self, u: Tensor) -> Tensor:
        """Evaluate the slope, 0 everywhere and NaN where u is."""
        return nan_where_nan(u, torch.zeros_like(u))

    def shape_integral(self, u: Tensor) -> Tensor:
        """Integrate the slope, which gives 0 everywhere, the step aside."""
        return nan_where_nan(u, torch.zeros_like(u))

    @property
    def shape_peak(self) -> float:
        """Return the largest slope, which is 0."""
        return 0.0

    @property
    def shape_area(self) -> float:
        """Return the area under the slope, which is 0."""
        return 0.0

    @property
    def shape_fwhm(self) -> None:
        """Return None, as a slope of 0 has no width at half maximum."""
        return

    @property
    def shape_support(self) -> tuple[float, float]:
        """Return an empty interval at threshold, as the slope is 0 everywhere."""
        return 0.0, 0.0
