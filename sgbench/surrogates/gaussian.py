"""The Gaussian slope."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.surrogates.bell import SlopedBell


class Gaussian(SlopedBell):
    r"""Uses the error function's slope, a Gaussian, :math:`(k/\sqrt\pi) \, e^{-(ku)^2}` before normalisation.

    Its standard deviation is :math:`\sigma = 1/(k\sqrt 2)`.

    Args:
        slope: steepness k [1/threshold units].
        width_fwhm: full width at half maximum, :math:`2\sqrt{\ln 2}/k`, in place of `slope`.
        normalisation: see `Surrogate`; the raw peak is :math:`k/\sqrt\pi` and the raw area 1.

    Source: Wu et al. 2018, Frontiers in Neuroscience 12:331 (one of four curves); as `Erf` in SpikingJelly.

    >>> surrogate = Gaussian(slope=1.0, width_fwhm=None, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([0.0, math.sqrt(math.log(2))]))
    tensor([1.0000, 0.5000])
    """

    raw_keeps_area: ClassVar[bool] = True
    bell_area: ClassVar[float] = math.sqrt(math.pi)
    bell_fwhm: ClassVar[float] = 2 * math.sqrt(math.log(2))

    def bell(self, z: Tensor) -> Tensor:
        return torch.exp(-z.square())

    def bell_integral(self, z: Tensor) -> Tensor:
        return math.sqrt(math.pi) / 2 * torch.erf(z)

    @property
    def shape_peak(self) -> float:
        return self.steepness / math.sqrt(math.pi)
