"""The parabolic slope."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.surrogates.bell import SlopedBell


class Epanechnikov(SlopedBell):
    r"""Uses a parabolic slope, :math:`\max(0, 1 - (ku)^2)`: a round top on a compact support.

    Args:
        slope: steepness k [1/threshold units]; the support is |u| < 1/k.
        width_fwhm: full width at half maximum, :math:`\sqrt 2/k`, in place of `slope`.
        normalisation: see `Surrogate`; the peak is 1 and the area 4/(3k).

    Source: Epanechnikov 1969, Theory of Probability & Its Applications 14(1), as a kernel of density estimation.

    >>> surrogate = Epanechnikov(slope=1.0, width_fwhm=None, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([-0.5, 0.0, 0.5, 2.0]))
    tensor([0.7500, 1.0000, 0.7500, 0.0000])
    """

    bell_area: ClassVar[float] = 4 / 3
    bell_fwhm: ClassVar[float] = math.sqrt(2)
    bell_support: ClassVar[float] = 1.0

    def bell(self, z: Tensor) -> Tensor:
        return torch.relu(1 - z.square())

    def bell_integral(self, z: Tensor) -> Tensor:
        inside = z.clamp(-1, 1)
        return inside - inside * inside.square() / 3
