"""Recurrent weights, and the highest surrogate with which gradients cannot grow from step to step."""

from fastspiking.spec import LinearSpec
from sgbench.inits.base import DrivenLayer
from sgbench.inits.conditions import ConditionedInit, PotentialStep
from sgbench.surrogates.base import Surrogate


class BoundedGradient(ConditionedInit):
    r"""Draws weights as `centred` does, and sets the surrogate's peak so that no gradient grows (condition III).

    One step back in time maps gradients :math:`\delta` of the potentials to :math:`J^\top \delta`, with
    :math:`J = \beta + (V - \rho) \psi`. The peak h is the largest with which the largest gradient cannot grow,

    .. math:: \max_j \Big( |\beta_j + h (V_{jj} - \rho_j)| + h \sum_{i \ne j} |V_{ij}| \Big) = 1

    for the neurons' decay beta, the recurrent weights V, the surrogate's slope psi, and rho, what an attached reset
    subtracts per spike. The surrogate's width stays.

    Args:
        gain: standard deviation of the feed-forward current for inputs of unit power.
        input_power: mean square E[x^2] of one input.

    Raises:
        InputError: as `centred`; or no all-to-all recurrence, gradients cut there, no leak, or a surrogate without
            peak and width.

    Source: Herranz-Celotti & Rouat 2022, arXiv:2202.00282, condition III (the largest gradient). Their library
    lif_stability takes S- (1 - beta) / (S+ (S- - theta)) of the sums of positive and negative weights for the peak;
    at that, gradients can grow (tested).

    >>> import torch
    >>> two = [torch.full((2,), value, dtype=torch.float64) for value in (0.5, 0.0, -4.0, 4.0)]
    >>> step = PotentialStep(two[0], torch.tensor([[1.0, -1.0], [1.0, 2.0]], dtype=torch.float64), *two[1:])
    >>> round(step.height_of_bound(), 6)  # columns reach 2 and 3: 0.5 + 3 h = 1
    0.166667
    """

    def __init__(self, *, gain: float, input_power: float) -> None:
        super().__init__("bounded_gradient", gain=gain, input_power=input_power)

    def finish(self, layer: DrivenLayer, neuron: LinearSpec) -> None:
        if isinstance(neuron.surrogate, Surrogate):
            height = PotentialStep.of(self.entry, layer, neuron).height_of_bound()
            neuron.surrogate.reshape(height=height / (neuron.surrogate.peak or 1.0))
