"""Recurrent weights that keep the mean potential at threshold and match the variance of the input."""

from fastspiking.spec import LinearSpec
from sgbench.inits.base import DrivenLayer
from sgbench.inits.conditions import ConditionedInit


class Centred(ConditionedInit):
    r"""Draws recurrent weights that fulfil conditions I and II of Herranz-Celotti & Rouat; others are normal.

    Neurons are assumed to fire independently with probability 1/2 in each step. Condition I: the mean potential
    stays at threshold. Condition II: recurrent and feed-forward currents have the same variance.

    .. math::
        \bar w = \frac{m \theta}{n g}, \qquad
        \mathrm{Var}\, w = \frac{2 \, \mathrm{gain}^2 \, \mathrm{E}[x^2]}{n} - \frac{\bar w^2}{2}, \qquad
        W \sim N(0, \mathrm{gain}^2 / n_\mathrm{in})

    for recurrent weights w with mean w-bar, feed-forward weights W, and m = 3 - 2 beta for reset `subtract`, 2 -
    beta for `zero` and `subtract_decayed`, 2 (1 - beta) for `none`. theta is the threshold, beta the decay, g the
    neuron's gain on currents, n the number of recurrent inputs with the neuron itself.

    Args:
        gain: standard deviation of the feed-forward current for inputs of unit power.
        input_power: mean square E[x^2] of one input; 0.5 for spikes in every second step.

    Raises:
        InputError: spiking neurons without recurrence, or with another state than a potential; or a negative
            variance by condition II.

    Source: Herranz-Celotti & Rouat 2022, arXiv:2202.00282, conditions I and II; m as in their library
    lif_stability for `subtract` and `zero`, with n - 1 inputs there. The first term of its variance has 1 in place
    of 2, under which the variances are not equal (tested). Conditions III and IV are about the surrogate's height
    and width: `bounded_gradient` and `steady_gradient`.

    >>> import torch
    >>> from sgbench.inits.conditions import mean_factor
    >>> round(mean_factor("subtract", torch.tensor(0.9)).item(), 6)  # of theta, summed over the inputs
    1.2
    """

    def __init__(self, *, gain: float, input_power: float) -> None:
        super().__init__("centred", gain=gain, input_power=input_power)

    def finish(self, layer: DrivenLayer, neuron: LinearSpec) -> None:
        """Leave the surrogate as it is: the conditions concern weights only."""
