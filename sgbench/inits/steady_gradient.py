"""Recurrent weights, and the surrogate's width with which gradients keep their variance from step to step."""

from fastspiking.spec import LinearSpec
from sgbench.errors import InputError
from sgbench.inits.base import DrivenLayer
from sgbench.inits.conditions import ConditionedInit, PotentialStep
from sgbench.surrogates.base import Surrogate


class SteadyGradient(ConditionedInit):
    r"""Draws weights as `centred` does, and sets the surrogate's width so that gradients keep their variance.

    .. math:: \frac1n \sum_j \mathrm E \Big[ (\beta_j + (V_{jj} - \rho_j) \psi_j)^2
        + \psi_j^2 \sum_{i \ne j} V_{ij}^2 \Big] = 1

    for independent gradients of mean 0, with n neurons, their decay beta, recurrent weights V, the surrogate's
    slope psi, and rho, what an attached reset subtracts per spike. Potentials are assumed evenly distributed
    between the lowest and the highest that inputs and spikes of 0 and 1 can reach. The surrogate's peak stays.
    These are conditions I, II and IV of the source.

    Args:
        gain: standard deviation of the feed-forward current for inputs of unit power.
        input_power: mean square E[x^2] of one input.

    Raises:
        InputError: as `centred`; or no all-to-all recurrence, gradients cut there, no leak, a surrogate without
            peak and width, or one so low that gradients shrink at every width.

    Source: Herranz-Celotti & Rouat 2022, arXiv:2202.00282, condition IV (the variance of gradients). Their library
    lif_stability leaves out the product of beta and V - rho, and has the exponential slope alone. Here any slope is
    integrated numerically, to a percent if it jumps.

    >>> import torch
    >>> from sgbench.surrogates.triangle import Triangle
    >>> hat = Triangle(slope=None, width_fwhm=1.0, normalisation="peak1", scale=1.0)
    >>> one = [torch.tensor([value], dtype=torch.float64) for value in (0.0, 0.0, -10.0, 10.0)]
    >>> step = PotentialStep(one[0], torch.tensor([[2.0]], dtype=torch.float64), *one[1:])
    >>> round(step.width_of_balance(hat), 2)  # 4 E[psi^2] = 4 (2 w / 3) / 20 = 1
    7.5
    """

    def __init__(self, *, gain: float, input_power: float) -> None:
        super().__init__("steady_gradient", gain=gain, input_power=input_power)

    def finish(self, layer: DrivenLayer, neuron: LinearSpec) -> None:
        """Set the surrogate's width so that gradients keep their variance from step to step.

        Raises:
            InputError: gradients shrink at every width.
        """
        if not isinstance(neuron.surrogate, Surrogate):
            return
        width = PotentialStep.of(self.entry, layer, neuron).width_of_balance(neuron.surrogate)
        if width is None:
            raise InputError(
                f"init=steady_gradient: gradients in layer '{layer.name}' fade whatever the surrogate's width; a "
                f"larger surrogate.scale or init.gain is needed"
            )
        neuron.surrogate.reshape(width=width)
