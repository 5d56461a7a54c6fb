"""The leaky neuron with a noisy membrane."""

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.neurons.base import InputGain, Operations, SpikingNeuron, SpikingState
from sgbench.neurons.quantity import Decay, Threshold, Value
from sgbench.surrogates.base import Surrogate

SMALLEST_UNIFORM = 1e-7  # uniform number; corresponds to a normal number of -5.2


class Noisy(SpikingNeuron):
    r"""Models a leaky neuron with white noise on its membrane.

    .. math:: u[t] = \beta u[t-1] + g I[t] + \sigma \sqrt{1 - \beta^2}\, \xi[t] - \theta s[t-1], \qquad
        \xi \sim \mathcal N(0, 1)

    for the membrane potential u, input current I and spike s. sigma is the standard deviation of a potential that
    never fires, whatever the time step. The noise is there in training and in evaluation; random numbers come from
    the surrogate's generator.

    Args:
        noise_std: sigma, 0 or more [units of u].

    Source: Ma et al. 2023, Patterns 4 (arXiv:2305.16044); snnTorch up to 0.9 `NoisyLeaky`.

    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = Noisy(spike, beta=0.9, noise_std=0.25, threshold=9.0, reset="subtract", reset_gradient="detached",
    ...     input_gain="one", learn_beta="none", learn_threshold="none")
    >>> state = neuron.initial_state(torch.zeros(1, 10_000))
    >>> for _ in range(50):
    ...     _, state = neuron.step(torch.zeros(1, 10_000), state)
    >>> round(state.u.std().item(), 2)
    0.25
    """

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        beta: Value,
        noise_std: float,
        threshold: Value,
        reset: str,
        reset_gradient: str,
        input_gain: str,
        learn_beta: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient)
        self.surrogate.stochastic = True
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        self.input_gain = InputGain(input_gain, self.beta.initial_value())
        self.noise_std = require_number("neuron.noise_std", noise_std, low=0)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: SpikingState) -> tuple[Tensor, SpikingState]:
        """Advance one step: decay, integrate with noise, apply the last spike's reset, fire."""
        threshold, beta = self.threshold(), self.beta()
        noise = torch.special.ndtri(self.surrogate.uniform(current).clamp(SMALLEST_UNIFORM, 1 - SMALLEST_UNIFORM))
        driven = self.input_gain(beta) * current + self.noise_std * (1 - beta * beta) ** 0.5 * noise
        u = self.next_potential(state.u, state.s, driven, beta, threshold)
        s = self.surrogate(u - threshold)
        return s, SpikingState(u=u, s=s)

    @property
    def operations(self) -> Operations:
        return self.leaky_operations(multiplications=1, additions=1)
