"""The adaptive leaky neuron, integrated by symplectic Euler."""

from typing import Any, ClassVar

from torch import Tensor

from fastspiking.spec import LinearSpec
from sgbench.errors import require_number
from sgbench.neurons.base import AdaptiveState, InputGain, Operations, SpikingNeuron
from sgbench.neurons.quantity import Decay, Number, Threshold, Value
from sgbench.surrogates.base import Surrogate


class SeAdLif(SpikingNeuron):
    r"""Models a leaky neuron whose adaptation follows potential and spike of the same step, which keeps it stable.

    .. math::
        \hat u[t] &= \beta u[t-1] + g I[t] - (1 - \beta) w[t-1], \qquad s[t] = H(\hat u[t] - \theta) \\
        w[t] &= \rho w[t-1] + (1 - \rho) q (a u[t] + b s[t])

    for the adaptation w, input current I, spike s, and the membrane potential before and after its reset, u-hat and
    u. The paper resets to `zero` and has g = 1 - beta. The state holds u-hat[t] and w[t-1]. Fast engines run
    `none`, `subtract`, and `subtract_decayed` with attached gradient. A spike lasts for a step: double b when the
    time step is halved.

    Args:
        a: coupling of the adaptation to the potential [1].
        b: coupling of the adaptation to spikes [units of u].
        q: gain of the adaptation [1].

    Source: Baronig et al. 2025, Nature Communications 16 (arXiv:2408.07517), equations 6a and 6b.

    >>> import torch
    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = SeAdLif(spike, beta=0.5, rho=0.5, a=1.0, b=2.0, q=1.0, threshold=1.0, reset="zero",
    ...     reset_gradient="detached", input_gain="one_minus_beta", learn_beta="none", learn_rho="none",
    ...     learn_a="none", learn_b="none", learn_threshold="none")
    >>> current = torch.full((1, 1), 4.0)
    >>> _, state = neuron.step(current, neuron.initial_state(current))  # u = 2, a spike
    >>> _, state = neuron.step(current, state)  # w = 0.5 (0 + 2), u = 0 + 0.5 (4 - 1)
    >>> state.w.item(), state.u.item()
    (1.0, 1.5)
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
        q: float,
        threshold: Value,
        reset: str,
        reset_gradient: str,
        input_gain: str,
        learn_beta: str,
        learn_rho: str,
        learn_a: str,
        learn_b: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient)
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        self.input_gain = InputGain(input_gain, self.beta.initial_value())
        self.rho = Decay("rho", rho, learn=learn_rho, features=features)
        self.a = Number("a", a, learn=learn_a, features=features)
        self.b = Number("b", b, learn=learn_b, features=features)
        self.q = require_number("neuron.q", q)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: AdaptiveState) -> tuple[Tensor, AdaptiveState]:
        """Advance one step: apply the last reset, update w from the potential after it, decay, integrate, fire."""
        threshold, beta, rho = self.threshold(), self.beta(), self.rho()
        gain = (1 - rho) * self.q
        start = self.next_potential.before_step(state.u, state.s, threshold)
        w = rho * state.w + gain * self.a() * start + gain * self.b() * state.s
        driven = self.input_gain(beta) * current - (1 - beta) * w
        u = self.next_potential.after_step(beta * start + driven, state.s, threshold)
        s = self.surrogate(u - threshold)
        return s, AdaptiveState(u=u, w=w, s=s)

    def recurrence_spec(self) -> LinearSpec | None:
        """Return both equations as coefficients, for engines that do not call `step`.

        None for resets whose effect on w these coefficients cannot express.
        """
        reset, detached = self.next_potential.reset, self.next_potential.detached
        if reset == "zero" or (reset == "subtract_decayed" and detached):
            return None
        beta, rho, threshold = self.beta(), self.rho(), self.threshold()
        gain = (1 - rho) * self.q
        lost_by_reset = threshold if reset == "subtract_decayed" else 0.0
        return LinearSpec(
            surrogate=self.surrogate,
            reset=reset,
            detached=detached,
            second="w",
            decay=beta,
            threshold=threshold,
            input=self.input_gain(beta),
            coupling=-(1 - beta),
            second_decay=rho,
            second_potential=gain * self.a(),
            second_spike=gain * (self.b() - self.a() * lost_by_reset),
        )

    @property
    def operations(self) -> Operations:
        return self.leaky_operations(multiplications=3, additions=3, state_words=1)
