"""The boxcar slope."""

from typing import ClassVar

from torch import Tensor

from sgbench.surrogates.base import nan_where_nan
from sgbench.surrogates.bell import SlopedBell


class Rectangle(SlopedBell):
    r"""Uses a boxcar slope, 1 for :math:`k|u| < 1` and 0 elsewhere.

    Args:
        slope: steepness k [1/threshold units]; the support is |u| < 1/k.
        width_fwhm: full width at half maximum, :math:`2/k`, in place of `slope`.
        normalisation: see `Surrogate`; the peak is 1 and the area 2/k.

    Source: Wu et al. 2018, Frontiers in Neuroscience 12:331 (one of four curves).

    >>> import torch
    >>> surrogate = Rectangle(slope=2.0, width_fwhm=None, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([-0.6, -0.4, 0.0, 0.5]))
    tensor([0., 1., 1., 0.])
    """

    bell_area: ClassVar[float] = 2.0
    bell_fwhm: ClassVar[float] = 2.0
    bell_support: ClassVar[float] = 1.0

    def bell(self, z: Tensor) -> Tensor:
        return nan_where_nan(z, (z.abs() < 1).to(z.dtype))

    def bell_integral(self, z: Tensor) -> Tensor:
        return z.clamp(-1, 1)
