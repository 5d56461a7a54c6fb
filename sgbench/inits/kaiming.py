"""Normal weights."""

import torch
from torch import Tensor

from sgbench.inits.base import ScaledInit


class Kaiming(ScaledInit):
    r"""Draws normal weights, :math:`W \sim N(0, \mathrm{gain}^2/n)` for n inputs.

    Args:
        gain: standard deviation of a neuron's summed input for inputs of unit power.
        recurrent_gain: standard deviation of a neuron's summed recurrent input.

    Source: He et al. 2015, ICCV (there gain is sqrt 2).

    >>> init = Kaiming(gain=1.0, recurrent_gain=1.0)
    >>> round(init.draw(torch.Size([100, 100]), 100, torch.Generator().manual_seed(0)).std().item(), 2)
    0.1
    """

    def draw(self, shape: torch.Size, fan_in: int, generator: torch.Generator) -> Tensor:
        """Draw normal weights of standard deviation 1/sqrt(fan_in), float64."""
        return torch.randn(shape, generator=generator, dtype=torch.float64) * fan_in**-0.5
