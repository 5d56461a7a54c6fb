"""The leaky neuron with an after-hyperpolarisation."""

from typing import Any, ClassVar

from torch import Tensor

from fastspiking.spec import LinearSpec
from sgbench.neurons.base import AdaptiveState, Operations, SpikingNeuron
from sgbench.neurons.quantity import Decay, Number, Threshold, Value
from sgbench.surrogates.base import Surrogate


class Ahp(SpikingNeuron):
    r"""Models a leaky neuron that each of its spikes inhibits by a slowly decaying current of its own.

    .. math::
        w[t] &= \gamma (w[t-1] + b s[t-1]) \\
        u[t] &= \beta u[t-1] + I[t] + w[t] - \theta s[t-1], \qquad s[t] = H(u[t] - \theta)

    u is the membrane potential, w the after-hyperpolarisation current, I the input current and s the spike. w adds
    its value to u in every step: halve b when the time step is halved.

    Args:
        gamma: decay of the current per step, exp(-dt/tau_ahp) [1].
        b: step of the current per spike; below 0 it inhibits [units of u].

    Source: Rockpool 3.1 `aLIFTorch`, there with a synaptic current before it; Benda & Herz 2003, Neural Computation
    15.

    >>> import torch
    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = Ahp(spike, beta=0.5, gamma=0.5, b=-2.0, threshold=1.0, reset="none", reset_gradient="detached",
    ...     learn_beta="none", learn_gamma="none", learn_b="none", learn_threshold="none")
    >>> current = torch.full((1, 1), 2.0)
    >>> _, state = neuron.step(current, neuron.initial_state(current))
    >>> _, state = neuron.step(current, state)  # w = 0.5 * -2, u = 1 + 2 - 1
    >>> state.w.item(), state.u.item()
    (-1.0, 2.0)
    """

    State: ClassVar[type[Any]] = AdaptiveState

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        beta: Value,
        gamma: Value,
        b: Value,
        threshold: Value,
        reset: str,
        reset_gradient: str,
        learn_beta: str,
        learn_gamma: str,
        learn_b: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient)
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        self.gamma = Decay("gamma", gamma, learn=learn_gamma, features=features)
        self.b = Number("b", b, learn=learn_b, features=features)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: AdaptiveState) -> tuple[Tensor, AdaptiveState]:
        """Advance one step: add the last spike's b to w and decay it, then update u with I + w as `Leaky` does."""
        threshold, gamma = self.threshold(), self.gamma()
        w = gamma * state.w + (gamma * self.b()) * state.s
        u = self.next_potential(state.u, state.s, current + w, self.beta(), threshold)
        s = self.surrogate(u - threshold)
        return s, AdaptiveState(u=u, w=w, s=s)

    def recurrence_spec(self) -> LinearSpec:
        gamma = self.gamma()
        return self.linear_spec(
            second="w", decay=self.beta(), coupling=1.0, second_decay=gamma, second_spike=gamma * self.b()
        )

    @property
    def operations(self) -> Operations:
        return self.leaky_operations(multiplications=2, additions=2, state_words=1)
