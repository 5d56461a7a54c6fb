"""The slope of the arctangent."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.surrogates.bell import BellSurrogate


class Atan(BellSurrogate):
    r"""Uses the slope of the arctangent, :math:`(\alpha/2) / (1 + (\pi\alpha u/2)^2)` before normalisation.

    snnTorch's documentation prints the factor 1/pi where its code has alpha/2; this is the code's.

    Args:
        alpha: native steepness [1/threshold units], or None if `width_fwhm` is given.
        width_fwhm: full width at half maximum, :math:`4/(\pi\alpha)`, in place of `alpha`.
        normalisation: see `Surrogate`; the raw peak is alpha/2 and the raw area 1.

    Source: Fang et al. 2021, "Incorporating learnable membrane time constant", arXiv:2007.05785; snnTorch
    `atan`, equal to it with normalisation raw (tested).

    >>> surrogate = Atan(alpha=2.0, width_fwhm=None, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([0.0, 1 / math.pi]))
    tensor([1.0000, 0.5000])
    """

    native: ClassVar[str] = "alpha"
    native_to_steepness: ClassVar[float] = math.pi / 2
    raw_keeps_area: ClassVar[bool] = True
    bell_area: ClassVar[float] = math.pi
    bell_fwhm: ClassVar[float] = 2.0
    kernel_shape: ClassVar[str | None] = "atan"

    def __init__(self, *, alpha: float | None, width_fwhm: float | None, normalisation: str, scale: float) -> None:
        super().__init__(native_value=alpha, width_fwhm=width_fwhm, normalisation=normalisation, scale=scale)

    def bell(self, z: Tensor) -> Tensor:
        return 1 / (1 + z.square())

    def bell_integral(self, z: Tensor) -> Tensor:
        return torch.atan(z) + math.pi / 2

    @property
    def shape_peak(self) -> float:
        return self.native_value / 2
