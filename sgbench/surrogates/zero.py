"""The true gradient of a spike."""

import torch
from torch import Tensor

from sgbench.surrogates.base import Surrogate, nan_where_nan


class Zero(Surrogate):
    """Uses slope 0 everywhere: the true derivative of the step, a control with which only the readout learns.

    Args:
        normalisation: "raw", as there is no peak or area to normalise.
        scale: see `Surrogate`; without effect.

    Source: Neftci, Mostafa & Zenke 2019, IEEE Signal Processing Magazine 36(6), section IV.

    >>> Zero(normalisation="raw", scale=1.0).derivative(torch.tensor([-0.1, 0.1]))
    tensor([0., 0.])
    """

    shape_peak: float = 0.0
    shape_area: float = 0.0
    shape_fwhm: None = None  # a slope of 0 has no width at half maximum
    shape_support: tuple[float, float] = 0.0, 0.0  # the slope is 0 everywhere

    def shape(self, u: Tensor) -> Tensor:
        return nan_where_nan(u, torch.zeros_like(u))

    def shape_integral(self, u: Tensor) -> Tensor:
        return nan_where_nan(u, torch.zeros_like(u))
