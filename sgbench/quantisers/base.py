"""The contract of a quantiser: the few values that a weight may have, in training as in the test."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from sgbench.errors import require_choice, require_flag

Scale = Literal["layer", "channel"]


class Quantiser(nn.Module, ABC):
    """Sets the weights of synapses to some of few values; what is optimised stays a real number behind each.

    Args:
        scale: "layer": all weights of a tensor are multiples of one unit; "channel": those into each neuron, or
            into each channel of a convolution, of one of their own.
        power_of_two: whether units are powers of 2, so that sums of weights have no rounding in floating point.
    """

    neutral: ClassVar[bool] = False  # whether weights stay as they are
    bits: int  # that store a weight

    def __init__(self, *, scale: str, power_of_two: bool) -> None:
        super().__init__()
        self.scale = require_choice("weights.scale", scale, ("layer", "channel"))
        self.power_of_two = require_flag("weights.power_of_two", power_of_two)

    @abstractmethod
    def levels(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the whole number that stands for each weight, and the unit, which broadcasts against it."""

    def slope(self, weight: Tensor, unit: Tensor) -> Tensor | float:
        """Compute the derivative that stands for that of the staircase, by default 1: straight through."""
        return 1.0

    def forward(self, weight: Tensor) -> Tensor:
        r"""Return the weights that act.

        .. math:: q = n \, s, \qquad \frac{\partial q}{\partial w} := \mathrm{slope}(w)

        Args:
            weight: of any shape; its first axis is that of neurons, times their currents, or of channels.
        """
        fixed = weight.detach()
        whole, unit = self.levels(fixed)
        return whole * unit + self.slope(fixed, unit) * (weight - fixed)

    def axes(self, weight: Tensor) -> tuple[int, ...]:
        """Return the axes of a weight that share a unit: all, or all but the first."""
        first = 1 if self.scale == "channel" and weight.dim() > 1 else 0
        return tuple(range(first, weight.dim()))


def power_of_two_above(size: Tensor) -> Tensor:
    """Return the least power of 2 that is no smaller, elementwise; 1 where a size is 0.

    >>> power_of_two_above(torch.tensor([0.3, 0.25, 5.0, 0.0])).tolist()
    [0.5, 0.25, 8.0, 1.0]
    """
    return torch.where(size > 0, size, torch.ones_like(size)).log2().ceil().exp2()
