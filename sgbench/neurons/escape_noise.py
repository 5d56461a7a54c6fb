"""The leaky neuron that fires by chance."""

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.neurons.arguments import require_argument
from sgbench.neurons.base import InputGain, Operations, SpikingNeuron, SpikingState
from sgbench.neurons.quantity import Decay, Threshold, Value
from sgbench.surrogates.base import Surrogate


class EscapeNoise(SpikingNeuron):
    r"""Models a leaky neuron that fires with a probability that grows exponentially with its potential.

    .. math:: P(s[t] = 1) = 1 - \exp\Big(-\frac{dt}{\tau_0} e^{(u[t] - \theta)/\Delta}\Big), \qquad
        u[t] = \beta u[t-1] + g I[t] - \theta s[t-1]

    for the membrane potential u, input current I, spike s and input gain g. The gradient of a spike is the
    surrogate's at u - theta, whatever was drawn; random numbers come from the surrogate's generator. To use the
    integral of the surrogate's slope as the probability, take another neuron with firing=bernoulli.

    Args:
        softness: Delta, the rise of u that multiplies the firing rate by e, above 0 [units of u].
        tau_escape_s: tau_0, mean time to a spike at threshold, above 0 [s].

    Source: Gerstner & Kistler 2002, Spiking Neuron Models, section 5.3; Jolivet et al. 2006, Journal of
    Computational Neuroscience 21.

    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = EscapeNoise(spike, beta=0.9, softness=0.1, tau_escape_s=0.001, dt_s=0.001, threshold=1.0,
    ...     reset="subtract", reset_gradient="detached", input_gain="one", learn_beta="none",
    ...     learn_threshold="none")
    >>> neuron.probability(torch.tensor([-1.0, 0.0, 1.0])).round(decimals=4)  # in the middle 1 - 1/e
    tensor([0.0000, 0.6321, 1.0000])
    """

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        beta: Value,
        softness: float,
        tau_escape_s: float,
        dt_s: float,
        threshold: Value,
        reset: str,
        reset_gradient: str,
        input_gain: str,
        learn_beta: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient)
        self.take_over_firing(stochastic=True)
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        self.input_gain = InputGain(input_gain, self.beta.initial_value())
        self.softness = require_number("neuron.softness", softness, low=0, open_low=True)
        dt = require_argument("dt_s", dt_s)
        tau_s = require_number("neuron.tau_escape_s", tau_escape_s, low=0, open_low=True)
        self.spikes_at_threshold = dt / tau_s  # expected number in a step
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def probability(self, u: Tensor) -> Tensor:
        """Compute the probability of a spike in one step [B, N]; u is the potential minus the threshold [B, N]."""
        return -torch.expm1(-self.spikes_at_threshold * torch.exp(u / self.softness))

    def step(self, current: Tensor, state: SpikingState) -> tuple[Tensor, SpikingState]:
        """Advance one step: decay, integrate, apply the last spike's reset, draw the next spikes."""
        threshold, beta = self.threshold(), self.beta()
        u = self.next_potential(state.u, state.s, self.input_gain(beta) * current, beta, threshold)
        slope = self.surrogate(u - threshold)
        with torch.no_grad():
            drawn = (self.surrogate.uniform(u) < self.probability(u - threshold)).to(u.dtype)
        s = drawn + (slope - slope.detach())  # adds exactly 0, and the gradient
        return s, SpikingState(u=u, s=s)

    @property
    def operations(self) -> Operations:
        return self.leaky_operations(multiplications=2, additions=1, functions=2)
