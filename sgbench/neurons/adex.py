"""The adaptive exponential integrate-and-fire neuron."""

from typing import Any, ClassVar

from torch import Tensor

from sgbench.neurons.arguments import require_argument
from sgbench.neurons.base import AdaptiveState, Operations, SpikingNeuron, Takeoff
from sgbench.neurons.quantity import EulerRate, Number, Threshold, Value
from sgbench.surrogates.base import Surrogate


class AdEx(SpikingNeuron):
    r"""Models an exponential integrate-and-fire neuron with an adaptation current (AdEx), by forward Euler.

    .. math::
        \tau \dot u &= -u + \Delta e^{(u - u_T)/\Delta} - w + R I, \qquad s[t] = H(u[t] - \theta) \\
        \tau_w \dot w &= a u - w, \qquad w \to w + b \text{ at a spike}

    u is the potential, w the adaptation current, I the input current, s the spike and H the unit step. Both
    Euler steps start from the potential after its reset and the adaptation after its jump. Where a reset leaves u
    above theta, the exponential is that at theta. With R = tau/dt a current of 1 raises u by 1 in a step.

    Args:
        tau_adapt_s: time constant of the adaptation, above dt_s [s].
        a: coupling of the adaptation to the potential [1].
        b: step of the adaptation per spike [units of u].
        threshold: potential theta at which a spike counts and resets [units of u].

    Source: Brette & Gerstner 2005, Journal of Neurophysiology 94; Norse 1.1 `lif_adex_feed_forward_step` (tested).

    >>> import torch
    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = AdEx(spike, tau_mem_s=0.002, tau_adapt_s=0.004, dt_s=0.001, resistance=1.0, sharpness=0.5,
    ...     rheobase=0.0, a=1.0, b=2.0, threshold=1.0, reset="zero", reset_to=0.0, reset_gradient="detached",
    ...     learn_tau_mem_s="none", learn_tau_adapt_s="none", learn_a="none", learn_b="none",
    ...     learn_threshold="none")
    >>> _, state = neuron.step(torch.full((1, 1), 2.0), neuron.initial_state(torch.zeros(1, 1)))  # u = 1.25
    >>> _, state = neuron.step(torch.full((1, 1), 2.0), state)  # w = 2 - 0.25 * 2, u = 0.5 (0.5 - 2 + 2)
    >>> state.w.item(), state.u.item()
    (1.5, 0.25)
    """

    State: ClassVar[type[Any]] = AdaptiveState

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        tau_mem_s: Value,
        tau_adapt_s: Value,
        dt_s: float,
        resistance: float,
        sharpness: float,
        rheobase: float,
        a: Value,
        b: Value,
        threshold: Value,
        reset: str,
        reset_to: float,
        reset_gradient: str,
        learn_tau_mem_s: str,
        learn_tau_adapt_s: str,
        learn_a: str,
        learn_b: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient, reset_to=reset_to)
        self.rate = EulerRate("tau_mem_s", tau_mem_s, dt_s=dt_s, learn=learn_tau_mem_s, features=features)
        self.rate_adapt = EulerRate("tau_adapt_s", tau_adapt_s, dt_s=dt_s, learn=learn_tau_adapt_s, features=features)
        self.takeoff = Takeoff(sharpness=sharpness, rheobase=rheobase)
        self.a = Number("a", a, learn=learn_a, features=features)
        self.b = Number("b", b, learn=learn_b, features=features)
        self.resistance = require_argument("resistance", resistance)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: AdaptiveState) -> tuple[Tensor, AdaptiveState]:
        """Advance one step: after a spike reset u and raise w by b; move both by forward Euler; fire."""
        threshold, rate = self.threshold(), self.rate()
        w_start = state.w + self.b() * state.s
        u_start = self.next_potential.before_step(state.u, state.s, threshold)
        w = w_start + self.rate_adapt() * (self.a() * u_start - w_start)
        u_end = u_start + rate * (-u_start + self.takeoff(u_start, threshold) - w_start + self.resistance * current)
        u = self.next_potential.after_step(u_end, state.s, threshold)
        s = self.surrogate(u - threshold)
        return s, AdaptiveState(u=u, w=w, s=s)

    @property
    def operations(self) -> Operations:
        return Operations(
            multiplications=7, additions=self.next_potential.additions + 7, comparisons=2, state_words=2, functions=1
        )
