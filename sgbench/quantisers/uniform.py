"""Weights of b bits on an even grid."""

import math

import torch
from torch import Tensor

from sgbench.errors import InputError, require_choice, require_count, require_number
from sgbench.quantisers.base import Quantiser, power_of_two_above

MOST_BITS = 16
"""Most bits of a weight: sums of a few hundred larger integers would not be exact in float32."""


class Uniform(Quantiser):
    r"""Rounds weights to whole multiples of a unit, symmetric about 0.

    .. math:: q = s \, \mathrm{round}(w / s), \qquad s \ge \max|w| \,/\, (2^{b-1} - 1)

    for real weights w, quantised weights q and bits b. The unit s follows from the largest weight, so that none is
    clipped. The gradient goes straight through (1), or by soft steps, where r is the distance of w / s from the
    middle between two levels:

    .. math:: \frac{\partial q}{\partial w} := 1 \quad \text{or} \quad
              \frac{k \, (1 - \tanh^2(k r))}{2 \tanh(k / 2)}, \qquad r = w / s - \lfloor w / s \rfloor - 1/2

    Args:
        bits: number of bits b, from 2 to 16.
        scale: "layer" or "channel"; see `Quantiser`.
        power_of_two: whether s is a power of 2.
        gradient: "straight_through" or "soft_steps".
        sharpness: k of soft steps, above 0; towards 0 their gradient tends to 1.

    Raises:
        InputError: a value out of range.

    >>> four = Uniform(bits=4, scale="layer", power_of_two=False, gradient="straight_through", sharpness=5.0)
    >>> four(torch.tensor([1.75, 0.3, -0.9])).tolist()  # units of 0.25
    [1.75, 0.25, -1.0]

    Source: Bengio, Leonard & Courville 2013, arXiv:1308.3432 (straight through); Gong et al. 2019,
    arXiv:1908.05033 (soft steps, as a gradient alone); Krishnamoorthi 2018, arXiv:1806.08342 (units).
    """

    def __init__(self, *, bits: int, scale: str, power_of_two: bool, gradient: str, sharpness: float) -> None:
        super().__init__(scale=scale, power_of_two=power_of_two)
        self.bits = require_count("weights.bits", bits, low=2)
        if bits > MOST_BITS:
            raise InputError(f"weights.bits={bits}: 2 to {MOST_BITS} are possible; weights=float has all")
        self.gradient = require_choice("weights.gradient", gradient, ("straight_through", "soft_steps"))
        self.sharpness = require_number("weights.sharpness", sharpness, low=0, open_low=True)

    def levels(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        unit = weight.abs().amax(self.axes(weight), keepdim=True) / (2 ** (self.bits - 1) - 1)
        unit = power_of_two_above(unit) if self.power_of_two else torch.where(unit > 0, unit, 1.0)
        return (weight / unit).round(), unit

    def slope(self, weight: Tensor, unit: Tensor) -> Tensor | float:
        """Return the surrogate derivative of the quantised by the real weight: 1, or that of soft steps.

        The derivative of soft steps has a mean of 1 over each step, whose height and width are both `unit`.
        """
        if self.gradient == "straight_through":
            return 1.0
        ratio = weight / unit
        scaled_distance = self.sharpness * (ratio - ratio.floor() - 0.5)
        return self.sharpness * (1 - scaled_distance.tanh().square()) / (2 * math.tanh(self.sharpness / 2))
