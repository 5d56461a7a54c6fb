"""Uniform weights."""

import torch
from torch import Tensor

from sgbench.inits.base import ScaledInit


class Uniform(ScaledInit):
    r"""Draws uniform weights, :math:`W \sim \mathrm{gain} \cdot U(-1/\sqrt{n}, 1/\sqrt{n})` for n inputs.

    Source: Zenke & Vogels 2021, section 4.2.3; the default of `torch.nn.Linear`.

    >>> init = Uniform(gain=1.0, recurrent_gain=1.0)
    >>> bool(init.draw(torch.Size([100]), 4, torch.Generator()).abs().max() <= 0.5)
    True
    """

    def draw(self, shape: torch.Size, fan_in: int, generator: torch.Generator) -> Tensor:
        """Draw weights uniformly from -1/sqrt(fan_in) to 1/sqrt(fan_in), float64."""
        return (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1) * fan_in**-0.5
