"""The piecewise linear slope."""

from typing import ClassVar

import torch
from torch import Tensor

from sgbench.surrogates.bell import SlopedBell


class Triangle(SlopedBell):
    r"""Uses a piecewise linear slope, :math:`\max(0, 1 - k|u|)`.

    snnTorch 1.0's `triangular` differs: its gradient is +1 below and -1 above threshold, see `sign_flip`.

    Args:
        slope: steepness k [1/threshold units]; the support is |u| < 1/k.
        width_fwhm: full width at half maximum, :math:`1/k`, in place of `slope`.
        normalisation: see `Surrogate`; the peak is 1 and the area 1/k.
        scale: see `Surrogate`; Bellec et al. 2018 use 0.3.

    Source: Esser et al. 2016, PNAS 113(41); Bellec et al. 2018, NeurIPS, dampened by 0.3.

    >>> surrogate = Triangle(slope=2.0, width_fwhm=None, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([-0.25, 0.0, 0.25, 0.5]))
    tensor([0.5000, 1.0000, 0.5000, 0.0000])
    """

    bell_area: ClassVar[float] = 1.0
    bell_fwhm: ClassVar[float] = 1.0
    kernel_shape: ClassVar[str | None] = "triangle"
    bell_support: ClassVar[float] = 1.0

    def bell(self, z: Tensor) -> Tensor:
        return torch.relu(1 - z.abs())

    def bell_integral(self, z: Tensor) -> Tensor:
        inside = z.clamp(-1, 1)
        return inside - inside * inside.abs() / 2
