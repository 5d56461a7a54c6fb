"""Weights of three values."""

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.quantisers.base import Quantiser, power_of_two_above


class Ternary(Quantiser):
    r"""Sets each weight to -a, 0 or a; the gradient goes straight through.

    .. math:: q = a \, \mathrm{sign}(w) \, [|w| > d], \qquad d = t \, \mathrm{mean}|w|, \qquad
              a = \mathrm{mean}(|w| : |w| > d)

    for real weights w and quantised weights q; a is the mean over weights beyond d. With power_of_two, a is rounded
    to the nearest power of 2 on a logarithmic scale.

    Args:
        threshold: factor t of the mean weight, at least 0.
        scale: "layer" or "channel"; see `Quantiser`.
        power_of_two: whether a is a power of 2.

    Raises:
        InputError: a value out of range.

    >>> Ternary(threshold=0.7, scale="layer", power_of_two=False)(torch.tensor([1.0, -2.0, 0.1, -0.5])).tolist()
    [1.5, -1.5, 0.0, 0.0]

    Source: Li & Liu 2016, arXiv:1605.04711.
    """

    bits = 2

    def __init__(self, *, threshold: float, scale: str, power_of_two: bool) -> None:
        super().__init__(scale=scale, power_of_two=power_of_two)
        self.threshold = require_number("weights.threshold", threshold, low=0)

    def levels(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sign of each weight beyond d, 0 for the others, and the unit a."""
        size, axes = weight.abs(), self.axes(weight)
        kept = size > self.threshold * size.mean(axes, keepdim=True)
        unit = (size * kept).sum(axes, keepdim=True) / kept.sum(axes, keepdim=True).clamp(min=1)
        if self.power_of_two:  # the nearest: the least above a / sqrt(2)
            unit = power_of_two_above(unit / 2**0.5)
        return weight.sign() * kept, torch.where(unit > 0, unit, 1.0)
