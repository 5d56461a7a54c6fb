"""The slope that changes its sign at threshold."""

import torch
from torch import Tensor

from sgbench.surrogates.base import Surrogate, nan_where_nan


class SignFlip(Surrogate):
    """Uses slope 1 below threshold and -1 at and above it, as snnTorch's `triangular` computes.

    Above threshold it moves weights in the wrong direction. Use it to reproduce results of `triangular`; the
    triangular slope of the literature is `triangle`.

    Args:
        normalisation: see `Surrogate`; the peak is 1, the area undefined.

    Source: snnTorch 1.0, `triangular`, equal to it (tested).

    >>> SignFlip(normalisation="peak1", scale=1.0).derivative(torch.tensor([-9.0, 0.0, 0.1]))
    tensor([ 1., -1., -1.])
    """

    shape_peak: float = 1.0  # everywhere
    shape_area: None = None  # undefined: infinite on both sides, with opposite signs
    shape_fwhm: None = None  # its absolute value is 1 everywhere
    shape_kinks: tuple[float, ...] = (0.0,)  # a jump

    def shape(self, u: Tensor) -> Tensor:
        return nan_where_nan(u, torch.where(u < 0, torch.ones_like(u), -1.0))

    def shape_integral(self, u: Tensor) -> Tensor:
        return -u.abs()
