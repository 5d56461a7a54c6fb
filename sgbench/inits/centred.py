"""Recurrent weights that hold the potential at threshold and match the variance of the input."""

from __future__ import annotations

import torch
from torch import Tensor

from sgbench.engine.spec import LinearSpec
from sgbench.errors import InputError, require_number
from sgbench.inits.base import DrivenLayer, Init, by_row, linear_numbers


class Centred(Init):
    r"""Recurrent weights under conditions I and II of Herranz-Celotti & Rouat; feed-forward ones are normal.

    Neurons are taken to fire in every second step, independently. Condition I: the mean potential stays at
    threshold. Condition II: the recurrent current varies as much as the feed-forward current does.

    .. math::
        \bar w = \frac{m \theta}{n g}, \qquad
        \mathrm{Var}\, w = \frac{2 \, \mathrm{gain}^2 \, \mathrm{E}[x^2]}{n} - \frac{\bar w^2}{2}, \qquad
        W \sim N(0, \mathrm{gain}^2 / n_\mathrm{in})

    with m = 3 - 2 beta for reset `subtract`, 2 - beta for `zero` and `subtract_decayed`, 2 (1 - beta) for `none`; n
    recurrent inputs, which include the neuron itself; g the gain on currents.

    Args:
        gain: standard deviation of the feed-forward current for inputs of unit power.
        input_power: E[x^2] of one input; 0.5 for spikes in every second step.

    Raises:
        InputError: firing neurons without recurrence, or whose state is more than a potential; or condition II asks
            for a negative variance.

    Source: Herranz-Celotti & Rouat 2022, arXiv:2202.00282, conditions I and II; m as in their library
    lif_stability for `subtract` and `zero`, with n - 1 inputs there. The first term of its variance has 1 in place
    of 2, under which the variances are not equal (tested). Conditions III and IV are about the surrogate's scale
    and width, no weights.

    >>> round(mean_factor("subtract", torch.tensor(0.9)).item(), 6)  # of theta, summed over the inputs
    1.2
    """

    def __init__(self, *, gain: float, input_power: float) -> None:
        self.gain = require_number("init.gain", gain, low=0)
        self.input_power = require_number("init.input_power", input_power, low=0, open_low=True)

    @torch.no_grad()
    def fill(
        self, weight: Tensor, fan_in: int, generator: torch.Generator, *, recurrent: bool, layer: DrivenLayer
    ) -> None:
        """See `Init.fill`."""
        neuron = linear_numbers("centred", layer)
        if neuron.surrogate is not None and (layer.recurrent is None or neuron.second is not None):
            raise InputError(
                f"init=centred: layer '{layer.name}' needs recurrent weights and neurons whose only state is a "
                f"potential; use network.recurrence=all_to_all with neuron=leaky, or init=fluctuation"
            )
        normal = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        if not recurrent:
            weight.copy_(self.gain * fan_in**-0.5 * normal)
            return
        mean = self._mean(neuron, fan_in)
        variance = 2 * self.gain**2 * self.input_power / fan_in - mean.square() / 2
        if bool((variance < 0).any()):
            raise InputError(
                f"init=centred: {fan_in} recurrent inputs in layer '{layer.name}' cannot hold the potential at "
                f"threshold and vary as little as init.gain={self.gain:g} asks for; a larger gain is needed"
            )
        weight.copy_(by_row(mean, weight) + by_row(variance.sqrt(), weight) * normal)

    @staticmethod
    def _mean(neuron: LinearSpec, fan_in: int) -> Tensor:
        """Mean recurrent weight, one or [N]."""
        beta, threshold, gain = (
            torch.as_tensor(each, dtype=torch.float64)
            for each in (neuron.decay, neuron.threshold, neuron.input)
        )
        return mean_factor(neuron.reset, beta) * threshold / (fan_in * gain)


def mean_factor(reset: str, beta: Tensor) -> Tensor:
    """What recurrent weights add up to, in thresholds, where the mean potential stays at threshold."""
    paid = {"subtract": torch.ones_like(beta), "subtract_decayed": beta, "zero": beta, "none": 0 * beta}
    return 2 * (1 - beta) + paid[reset]
