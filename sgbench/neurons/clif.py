"""The complementary leaky neuron."""

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from sgbench.neurons.base import Operations, SpikingNeuron
from sgbench.neurons.quantity import Decay, Threshold, Value
from sgbench.surrogates.base import Surrogate


class ClifState(NamedTuple):
    """Holds the state of a `Clif` layer between time steps."""

    u: Tensor  # membrane potential [B, N], before its reset
    m: Tensor  # complementary potential [B, N]
    s: Tensor  # spikes [B, N]


class Clif(SpikingNeuron):
    r"""Models a leaky neuron whose reset grows with its recent activity (complementary LIF, CLIF).

    .. math::
        v &= u[t-1] - (\theta + \sigma(m[t-1])) s[t-1], \qquad u[t] = \beta v + I[t] \\
        m[t] &= m[t-1]\, \sigma((1 - \beta) u[t]) + s[t], \qquad s[t] = H(u[t] - \theta)

    for the membrane potential u, complementary potential m, input current I and spike s, with the reset
    `subtract_decayed`, the paper's. m gives the gradient a second path through time.

    Source: Huang et al. 2024, ICML (arXiv:2402.04663); SpikingJelly 2.0 `ComplementaryLIFNode` (tested).

    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = Clif(spike, beta=0.5, threshold=1.0, reset="subtract_decayed", reset_gradient="attached",
    ...     learn_beta="none", learn_threshold="none")
    >>> current = torch.full((1, 1), 2.0)
    >>> _, state = neuron.step(current, neuron.initial_state(current))  # u = 2, m = 1
    >>> _, state = neuron.step(0 * current, state)  # 0.5 (2 - 1 - sigma(1))
    >>> round(state.u.item(), 4)
    0.1345
    """

    State: ClassVar[type[Any]] = ClifState

    def __init__(
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        beta: Value,
        threshold: Value,
        reset: str,
        reset_gradient: str,
        learn_beta: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient)
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: ClifState) -> tuple[Tensor, ClifState]:
        """Advance one step: apply the last reset, decay and charge u, fire, update m."""
        threshold, beta = self.threshold(), self.beta()
        u = self.next_potential(state.u, state.s, current, beta, threshold + torch.sigmoid(state.m))
        s = self.surrogate(u - threshold)
        m = state.m * torch.sigmoid((1 - beta) * u) + s
        return s, ClifState(u=u, m=m, s=s)

    @property
    def operations(self) -> Operations:
        return self.leaky_operations(multiplications=2, additions=2, state_words=1, functions=2)
