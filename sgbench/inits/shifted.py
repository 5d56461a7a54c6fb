"""Normal weights around a mean that is not 0."""

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.inits.base import DrivenLayer, ScaledInit


class Shifted(ScaledInit):
    r"""Draws normal weights around a mean, :math:`W \sim N(\mathrm{sum}/n, \mathrm{gain}^2/n)` for n inputs.

    A positive mean makes neurons fire from the start, which learning from spike times needs.

    Args:
        gain: standard deviation of a neuron's summed input for inputs of unit power.
        recurrent_gain: standard deviation of a neuron's summed recurrent input, whose mean is 0.
        hidden_sum: expected sum of the weights into a hidden neuron.
        readout_sum: expected sum of the weights into a neuron of the readout.

    Raises:
        InputError: a value out of range.

    Source: Göltz et al. 2021, Nature Machine Intelligence 3 (spike times, weights around a positive mean).

    >>> init = Shifted(gain=0.0, recurrent_gain=1.0, hidden_sum=6.0, readout_sum=2.0)
    >>> weight = torch.zeros(1, 3)
    >>> init.fill(weight, 3, torch.Generator(), recurrent=False)
    >>> weight.tolist()
    [[2.0, 2.0, 2.0]]
    """

    def __init__(self, *, gain: float, recurrent_gain: float, hidden_sum: float, readout_sum: float) -> None:
        super().__init__(gain=gain, recurrent_gain=recurrent_gain)
        self.hidden_sum = require_number("init.hidden_sum", hidden_sum)
        self.readout_sum = require_number("init.readout_sum", readout_sum)

    def draw(self, shape: torch.Size, fan_in: int, generator: torch.Generator) -> Tensor:
        """Draw normal weights of mean 0 and standard deviation 1/sqrt(fan_in), float64."""
        return torch.randn(shape, generator=generator, dtype=torch.float64) * fan_in**-0.5

    def fill(
        self,
        weight: Tensor,
        fan_in: int,
        generator: torch.Generator,
        *,
        recurrent: bool,
        layer: DrivenLayer | None = None,
    ) -> None:
        """Overwrite weights in place by normal ones, feed-forward ones around their mean; see `Init.fill`."""
        super().fill(weight, fan_in, generator, recurrent=recurrent, layer=layer)
        if recurrent:
            return
        is_readout = layer is not None and layer.name == "readout"
        with torch.no_grad():
            weight += (self.readout_sum if is_readout else self.hidden_sum) / fan_in
