"""The two-sided exponential slope."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.surrogates.bell import SlopedBell


class Exponential(SlopedBell):
    r"""Uses a two-sided exponential slope, :math:`e^{-k|u|}`; used by SLAYER.

    Args:
        slope: steepness k [1/threshold units].
        width_fwhm: full width at half maximum, :math:`2\ln 2/k`, in place of `slope`.
        normalisation: see `Surrogate`; the peak is 1 and the area 2/k.

    Source: Shrestha & Orchard 2018, NeurIPS (SLAYER), there with the factor c k/2.

    >>> surrogate = Exponential(slope=math.log(2), width_fwhm=None, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([-1.0, 0.0, 2.0]))
    tensor([0.5000, 1.0000, 0.2500])
    """

    bell_area: ClassVar[float] = 2.0
    bell_fwhm: ClassVar[float] = 2 * math.log(2)

    def bell(self, z: Tensor) -> Tensor:
        return torch.exp(-z.abs())

    def bell_integral(self, z: Tensor) -> Tensor:
        return -torch.sign(z) * torch.expm1(-z.abs())
