"""The slope of the exponential escape rate."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Surrogate


class ExpEscape(Surrogate):
    r"""Uses the slope of an exponential escape probability, :math:`(p_0/\delta) \, e^{u/\delta}`, below 1.

    The probability :math:`p_0 e^{u/\delta}` reaches 1 at :math:`u^* = \delta \ln(1/p_0)`; above, it stays 1 and its
    slope is 0. stork's `CustomSpike` has no such limit and overflows far above threshold.

    Args:
        rate: probability p_0 of a spike at threshold, above 0 and up to 1.
        width: delta, the rise of u that multiplies the probability by e [threshold units].
        normalisation: see `Surrogate`; the raw peak is 1/delta, at u*, and the raw area 1.

    Source: Gerstner & Kistler 2002, "Spiking Neuron Models", section 5.3; stork `CustomSpike`, `exponential`.

    >>> surrogate = ExpEscape(rate=0.25, width=1.0, normalisation="raw", scale=1.0)
    >>> surrogate.derivative(torch.tensor([-200.0, 0.0, math.log(2), 1.5]))
    tensor([0.0000, 0.2500, 0.5000, 0.0000])
    """

    raw_keeps_area: ClassVar[bool] = True
    shape_area: float = 1.0  # the probability rises from 0 to 1

    def __init__(self, *, rate: float, width: float, normalisation: str, scale: float) -> None:
        self.rate = require_number("surrogate.rate", rate, low=SMALLEST, high=1)
        self.width = require_number("surrogate.width", width, low=SMALLEST, high=LARGEST)
        self.certain_from = -self.width * math.log(self.rate)
        super().__init__(normalisation=normalisation, scale=scale)

    def shape(self, u: Tensor) -> Tensor:
        risen = torch.exp((u - self.certain_from).clamp(max=0) / self.width) / self.width
        return torch.where(u > self.certain_from, 0, risen)

    def shape_integral(self, u: Tensor) -> Tensor:
        return torch.exp((u - self.certain_from).clamp(max=0) / self.width)

    @property
    def shape_peak(self) -> float:
        """Return the largest slope before normalisation: 1 / `width`, where a spike becomes certain."""
        return 1 / self.width

    @property
    def shape_fwhm(self) -> float:
        return self.width * math.log(2)

    @property
    def shape_support(self) -> tuple[float, float]:
        """Return the interval outside which the slope is 0: all potentials up to where a spike becomes certain."""
        return -math.inf, self.certain_from
