"""The raised cosine slope."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.surrogates.bell import SlopedBell


class RaisedCosine(SlopedBell):
    r"""Uses a raised cosine, :math:`(1 + \cos \pi k u)/2` for :math:`k|u| < 1`, else 0.

    Args:
        slope: steepness k [1/threshold units]; the support is |u| < 1/k.
        width_fwhm: full width at half maximum, :math:`1/k`, in place of `slope`.
        normalisation: see `Surrogate`; the peak is 1 and the area 1/k.

    Source: the Hann window; Blackman & Tukey 1958, Bell System Technical Journal 37(1).

    >>> surrogate = RaisedCosine(slope=1.0, width_fwhm=None, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([-0.5, 0.0, 0.5, 1.0]))
    tensor([0.5000, 1.0000, 0.5000, 0.0000])
    """

    bell_area: ClassVar[float] = 1.0
    bell_fwhm: ClassVar[float] = 1.0
    bell_support: ClassVar[float] = 1.0

    def bell(self, z: Tensor) -> Tensor:
        """Evaluate the form as sin^2(pi (1 - |z|) / 2), which is precise near |z| = 1; 0 beyond."""
        return torch.sin(math.pi / 2 * torch.relu(1 - z.abs())).square()

    def bell_integral(self, z: Tensor) -> Tensor:
        inside = z.clamp(-1, 1)
        return inside / 2 + torch.sin(math.pi * inside) / (2 * math.pi)
