"""The slope of the logistic sigmoid."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.surrogates.bell import SlopedBell


class Sigmoid(SlopedBell):
    r"""Uses the slope of the logistic function, :math:`k\,\sigma(ku)(1 - \sigma(ku))` before normalisation.

    It is finite for every u, unlike snnTorch 1.0's `sigmoid`, which gives NaN for ku < -88.

    Args:
        slope: steepness k [1/threshold units].
        width_fwhm: full width at half maximum, :math:`2\ln(3 + 2\sqrt 2)/k`, in place of `slope`.
        normalisation: see `Surrogate`; the raw peak is k/4 and the raw area 1.

    Source: snnTorch `sigmoid`, equal to it with normalisation raw where it is finite (tested); Zenke & Vogels
    2021, Neural Computation 33(4), section 4.2.6.

    >>> surrogate = Sigmoid(slope=4.0, width_fwhm=None, normalisation="raw", scale=1.0)
    >>> surrogate.derivative(torch.tensor([0.0, -100.0]))
    tensor([1., 0.])
    """

    raw_keeps_area: ClassVar[bool] = True
    bell_area: ClassVar[float] = 4.0
    bell_fwhm: ClassVar[float] = 2 * math.log(3 + 2 * 2**0.5)

    def bell(self, z: Tensor) -> Tensor:
        """Evaluate the form 4 s (1 - s) with s = sigmoid(z), elementwise at z = k u and without overflow."""
        decay = torch.exp(-z.abs())
        return 4 * decay / (1 + decay).square()

    def bell_integral(self, z: Tensor) -> Tensor:
        return 4 * torch.sigmoid(z)

    @property
    def shape_peak(self) -> float:
        return self.steepness / 4
