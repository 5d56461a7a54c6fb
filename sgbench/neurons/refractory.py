"""The leaky neuron with an absolute refractory period."""

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from sgbench.neurons.arguments import require_argument
from sgbench.neurons.base import InputGain, Operations, SpikingNeuron
from sgbench.neurons.quantity import Decay, Threshold, Value
from sgbench.surrogates.base import Surrogate


class RefractoryState(NamedTuple):
    """Holds the state of a `Refractory` layer between time steps."""

    u: Tensor  # membrane potential [B, N], before its reset
    left: Tensor  # remaining refractory steps [B, N]
    s: Tensor  # spikes [B, N]


class Refractory(SpikingNeuron):
    r"""Models a leaky neuron that ignores its input and does not fire for some time after each spike.

    .. math::
        u[t] = \begin{cases} \text{the potential after its reset} & k[t-1] > 0 \\
        \beta u[t-1] + g I[t] - \theta s[t-1] & \text{else} \end{cases}
        \qquad k[t] = \begin{cases} n & s[t] = 1 \\ \max(k[t-1] - 1, 0) & \text{else} \end{cases}

    for the membrane potential u, input current I, spike s and remaining refractory steps k, with n the period in
    steps, rounded. For n = 0 it is a `Leaky`.

    Source: Gerstner et al. 2014, Neuronal Dynamics, section 1.3; Norse 1.1 `LIFRefrac` (tested).

    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = Refractory(spike, beta=0.5, period_s=0.002, dt_s=0.001, threshold=1.0, reset="zero",
    ...     reset_gradient="detached", input_gain="one", learn_beta="none", learn_threshold="none")
    >>> state = neuron.initial_state(torch.zeros(1, 1))
    >>> sent = []
    >>> for _ in range(7):
    ...     spikes, state = neuron.step(torch.full((1, 1), 1.5), state)
    ...     sent.append(int(spikes))
    >>> sent  # two silent steps after each
    [1, 0, 0, 1, 0, 0, 1]
    """

    State: ClassVar[type[Any]] = RefractoryState

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        beta: Value,
        period_s: float,
        dt_s: float,
        threshold: Value,
        reset: str,
        reset_gradient: str,
        input_gain: str,
        learn_beta: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient)
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        self.input_gain = InputGain(input_gain, self.beta.initial_value())
        dt = require_argument("dt_s", dt_s)
        self.steps = round(require_argument("period_s", period_s) / dt)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: RefractoryState) -> tuple[Tensor, RefractoryState]:
        """Advance one step: decay and integrate unless refractory; apply the last reset, fire, count down."""
        threshold, beta = self.threshold(), self.beta()
        driven, refractory = self.input_gain(beta) * current, state.left > 0
        u = self.next_potential.around(
            lambda start: torch.where(refractory, start, beta * start + driven), state.u, state.s, threshold
        )
        s = self.surrogate(u - threshold) * ~refractory
        left = torch.where(s.detach() > 0, float(self.steps), (state.left - 1).relu())
        return s, RefractoryState(u=u, left=left, s=s)

    @property
    def operations(self) -> Operations:
        return self.leaky_operations(additions=1, comparisons=1, state_words=1)
