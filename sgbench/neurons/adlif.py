"""The adaptive leaky integrate-and-fire neuron with an adaptation current."""

from typing import Any, ClassVar

from torch import Tensor

from fastspiking.spec import LinearSpec
from sgbench.neurons.base import AdaptiveState, Operations, SpikingNeuron
from sgbench.neurons.quantity import Decay, Number, Threshold, Value
from sgbench.surrogates.base import Surrogate


class AdLif(SpikingNeuron):
    r"""Models a leaky integrate-and-fire neuron with a current that follows its potential and its spikes.

    .. math::
        w[t] &= \rho w[t-1] + a u[t-1] + b s[t-1] \\
        u[t] &= \beta (u[t-1] - \theta s[t-1]) + (1 - \beta)(I[t] - w[t]), \qquad s[t] = H(u[t] - \theta)

    for the potential u, adaptation w, input current I and spike s, with the reset `subtract_decayed`, which is the
    paper's for theta = 1. The current enters with gain 1 - beta, so weights have to be larger than those of a
    `Leaky` layer. a is per step: halve it when the time step is halved.

    Args:
        a: coupling of the adaptation to the potential [1].
        b: step of the adaptation per spike [units of u].

    Source: Bittar & Garner 2022, Frontiers in Neuroscience 16:865897, equations of the adLIF neuron; there all
    four numbers are learnt per neuron and kept within bounds.

    >>> import torch
    >>> from sgbench.surrogates.constant import Constant
    >>> neuron = AdLif(Constant(normalisation="peak1", scale=1.0), beta=0.5, rho=0.5, a=1.0, b=2.0, threshold=1.0,
    ...     reset="subtract_decayed", reset_gradient="detached", learn_beta="none", learn_rho="none",
    ...     learn_a="none", learn_b="none", learn_threshold="none")
    >>> current = torch.tensor([[4.0]])
    >>> spikes, state = neuron.step(current, neuron.initial_state(current))  # u = 0.5 * 4
    >>> spikes, state = neuron.step(current, state)  # w = 2 + 2, u = 0.5 (2 - 1) + 0.5 (4 - 4)
    >>> state.w.item(), state.u.item()
    (4.0, 0.5)
    """

    State: ClassVar[type[Any]] = AdaptiveState

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        beta: Value,
        rho: Value,
        a: Value,
        b: Value,
        threshold: Value,
        reset: str,
        reset_gradient: str,
        learn_beta: str,
        learn_rho: str,
        learn_a: str,
        learn_b: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient)
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        self.rho = Decay("rho", rho, learn=learn_rho, features=features)
        self.a = Number("a", a, learn=learn_a, features=features)
        self.b = Number("b", b, learn=learn_b, features=features)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: AdaptiveState) -> tuple[Tensor, AdaptiveState]:
        """Advance one step: update w from the last u and s, decay and charge u, apply the last reset, fire."""
        threshold, beta = self.threshold(), self.beta()
        w = self.rho() * state.w + self.a() * state.u + self.b() * state.s
        driven = (1 - beta) * current - (1 - beta) * w
        u = self.next_potential(state.u, state.s, driven, beta, threshold)
        s = self.surrogate(u - threshold)
        return s, AdaptiveState(u=u, w=w, s=s)

    def recurrence_spec(self) -> LinearSpec:
        """Return the coefficients of u and of the adaptation w, which lowers the drive of u."""
        beta = self.beta()
        return self.linear_spec(
            second="w",
            decay=beta,
            input=1 - beta,
            coupling=-(1 - beta),
            second_decay=self.rho(),
            second_potential=self.a(),
            second_spike=self.b(),
        )

    @property
    def operations(self) -> Operations:
        return self.leaky_operations(multiplications=4, additions=3, state_words=1)
