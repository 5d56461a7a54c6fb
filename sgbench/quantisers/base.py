"""The interface of quantisers, which restrict weights to few values in training and in the test."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from sgbench.errors import require_choice, require_flag

Scale = Literal["layer", "channel"]


class Quantiser(nn.Module, ABC):
    """Quantises synaptic weights to few values; the optimiser moves real weights, from which each is computed.

    Args:
        scale: "layer" (all weights of a tensor are multiples of one unit) or "channel" (those of each row, into one
            neuron or one channel of a convolution, have their own unit).
        power_of_two: whether units are powers of 2, so that sums of weights have no rounding in floating point.

    Raises:
        InputError: another scale, or a power_of_two that is no boolean.
    """

    neutral: ClassVar[bool] = False  # whether weights stay as they are
    bits: int  # number of bits that store a weight

    def __init__(self, *, scale: str, power_of_two: bool) -> None:
        super().__init__()
        self.scale = require_choice("weights.scale", scale, ("layer", "channel"))
        self.power_of_two = require_flag("weights.power_of_two", power_of_two)

    @abstractmethod
    def levels(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the whole number of units of each weight, and the unit, which broadcasts against the weights."""

    def slope(self, weight: Tensor, unit: Tensor) -> Tensor | float:
        """Compute the surrogate derivative of the quantised by the real weight; by default 1, straight through."""
        return 1.0

    def forward(self, weight: Tensor) -> Tensor:
        r"""Return the quantised weights q, of the shape of the real weights w.

        .. math:: q = n \, s, \qquad \frac{\partial q}{\partial w} := \mathrm{slope}(w)

        with whole numbers n and unit s.

        Args:
            weight: w; its first axis is that of the receiving neurons, times their currents, or of channels.
        """
        fixed = weight.detach()
        whole, unit = self.levels(fixed)
        return whole * unit + self.slope(fixed, unit) * (weight - fixed)

    def axes(self, weight: Tensor) -> tuple[int, ...]:
        """Return the axes of a weight over which a unit is shared: all, or all but the first for "channel"."""
        first = 1 if self.scale == "channel" and weight.dim() > 1 else 0
        return tuple(range(first, weight.dim()))


def power_of_two_above(size: Tensor) -> Tensor:
    """Return the smallest power of 2 that is at least `size`, elementwise; 1 where a size is 0.

    >>> power_of_two_above(torch.tensor([0.3, 0.25, 5.0, 0.0])).tolist()
    [0.5, 0.25, 8.0, 1.0]
    """
    return torch.where(size > 0, size, torch.ones_like(size)).log2().ceil().exp2()
