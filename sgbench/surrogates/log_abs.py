"""The slope of a signed logarithm."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.surrogates.bell import SlopedBell


class LogAbs(SlopedBell):
    r"""Uses the slope of the signed logarithm, :math:`1 / (1 + k|u|)`, whose heavy tails have infinite area.

    SpikingJelly's `NonzeroSignLogAbs` has the height alpha = k; set `scale` to it. snnax 0.0.1 computes this
    form under the name `superspike`.

    Args:
        slope: steepness k [1/threshold units].
        width_fwhm: full width at half maximum, :math:`2/k`, in place of `slope`.
        normalisation: see `Surrogate`; the peak is 1, the area infinite.

    Source: SpikingJelly, `activation_based.surrogate.NonzeroSignLogAbs`.

    >>> surrogate = LogAbs(slope=1.0, width_fwhm=None, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([-1.0, 0.0, 3.0]))
    tensor([0.5000, 1.0000, 0.2500])
    """

    bell_area: ClassVar[float] = math.inf
    bell_fwhm: ClassVar[float] = 2.0

    def bell(self, z: Tensor) -> Tensor:
        return 1 / (1 + z.abs())

    def bell_integral(self, z: Tensor) -> Tensor:
        return torch.sign(z) * torch.log1p(z.abs())
