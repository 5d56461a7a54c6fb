"""The capped reciprocal slope."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.surrogates.bell import BellSurrogate


class FakeNumerical(BellSurrogate):
    r"""Uses a capped reciprocal, :math:`\min(1/|u|, \alpha)` before normalisation.

    It is the slope of the chord from 0 at threshold to a jump of 1 at u. As a bell of steepness alpha it is
    :math:`\alpha \min(1/|z|, 1)` at :math:`z = \alpha u`, flat for |z| < 1.

    Args:
        cap: height and steepness alpha [1/threshold units].
        width_fwhm: full width at half maximum, :math:`4/\alpha`, in place of `cap`.
        normalisation: see `Surrogate`; the raw peak is alpha, the area infinite.

    Source: SpikingJelly, `activation_based.surrogate.FakeNumericalGradient`.

    >>> surrogate = FakeNumerical(cap=0.5, width_fwhm=None, normalisation="raw", scale=1.0)
    >>> surrogate.derivative(torch.tensor([-4.0, 0.0, 1.0, 4.0]))
    tensor([0.2500, 0.5000, 0.5000, 0.2500])
    """

    native: ClassVar[str] = "cap"
    raw_keeps_area: ClassVar[bool] = True
    bell_area: ClassVar[float] = math.inf
    bell_fwhm: ClassVar[float] = 4.0

    def __init__(self, *, cap: float | None, width_fwhm: float | None, normalisation: str, scale: float) -> None:
        super().__init__(native_value=cap, width_fwhm=width_fwhm, normalisation=normalisation, scale=scale)

    def bell(self, z: Tensor) -> Tensor:
        return 1 / z.abs().clamp(min=1)

    def bell_integral(self, z: Tensor) -> Tensor:
        return z.clamp(-1, 1) + torch.sign(z) * torch.log(z.abs().clamp(min=1))

    @property
    def shape_peak(self) -> float:
        return self.steepness

    @property
    def shape_kinks(self) -> tuple[float, ...]:
        return -1 / self.steepness, 1 / self.steepness
