"""Izhikevich's neuron."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from sgbench.neurons.arguments import require_argument
from sgbench.neurons.base import AdaptiveState, Operations, SpikingNeuron
from sgbench.neurons.quantity import EulerRate, Number, Threshold, Value
from sgbench.surrogates.base import Surrogate


class Izhikevich(SpikingNeuron):
    r"""Models a quadratic neuron with a recovery current, by forward Euler; rest is 0 and a spike's peak theta.

    .. math::
        \tau \dot u &= a_0\, u\,(u - u_c) - w + I, \qquad s[t] = H(u[t] - \theta) \\
        \tau_w \dot w &= a u - w, \qquad u \to u_r, \quad w \to w + b \text{ at a spike}

    for the potential u, recovery current w, input current I and spike s. It is Izhikevich's :math:`\dot v = 0.04
    v^2 + 5 v + 140 - w' + I'` with :math:`\dot w' = a'(b' v - w')`, peak 30 mV, resets c' and d', in other units:
    with v_0 and v_1 the zeros of 0.04 v^2 + (5 - b') v + 140, :math:`L = 30 - v_0` and v_2 the zero of 0.04 v^2 + 5
    v + 140 - b' v_0 other than v_0,

    .. math::
        u &= \frac{v - v_0}{L}, \quad u_c = \frac{v_2 - v_0}{L}, \quad \tau = 1\,\mathrm{ms}, \quad a_0 = 0.04 L, \\
        \tau_w &= \frac{1\,\mathrm{ms}}{a'}, \quad a = b', \quad b = \frac{d'}{L}, \quad u_r = \frac{c' - v_0}{L}

    The catalogue's defaults are regular spiking (a', b', c', d' = 0.02, 0.2, -65, 8), four times slower.
    Beyond theta and minus theta the flow is linear in u, not quadratic. The current enters with gain dt/tau.

    Args:
        tau_recovery_s: time constant tau_w of the recovery, above dt_s [s].
        a: coupling of the recovery to the potential [1].
        b: step of the recovery per spike [units of u].

    Source: Izhikevich 2003, IEEE Transactions on Neural Networks 14; Norse 1.1 `izhikevich_feed_forward_step` and
    SpikingJelly 2.0 `IzhikevichNode` (tested).

    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = Izhikevich(spike, tau_mem_s=0.002, tau_recovery_s=0.004, dt_s=0.001, curvature=1.0, critical=0.5,
    ...     a=1.0, b=2.0, threshold=1.0, reset="zero", reset_to=0.5, reset_gradient="detached",
    ...     learn_tau_mem_s="none", learn_tau_recovery_s="none", learn_a="none", learn_b="none",
    ...     learn_threshold="none")
    >>> _, state = neuron.step(torch.full((1, 1), 4.0), neuron.initial_state(torch.zeros(1, 1)))  # u = 2, a spike
    >>> _, state = neuron.step(torch.full((1, 1), 4.0), state)  # w = 2 + 0.25 (0.5 - 2), u = 0.5 + 0.5 (0 - 2 + 4)
    >>> state.w.item(), state.u.item()
    (1.625, 1.5)
    """

    State: ClassVar[type[Any]] = AdaptiveState

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        tau_mem_s: Value,
        tau_recovery_s: Value,
        dt_s: float,
        curvature: float,
        critical: float,
        a: Value,
        b: Value,
        threshold: Value,
        reset: str,
        reset_to: float,
        reset_gradient: str,
        learn_tau_mem_s: str,
        learn_tau_recovery_s: str,
        learn_a: str,
        learn_b: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient, reset_to=reset_to)
        self.rate = EulerRate("tau_mem_s", tau_mem_s, dt_s=dt_s, learn=learn_tau_mem_s, features=features)
        self.rate_recovery = EulerRate(
            "tau_recovery_s", tau_recovery_s, dt_s=dt_s, learn=learn_tau_recovery_s, features=features
        )
        self.curvature = require_argument("curvature", curvature)
        self.critical = require_argument("critical", critical)
        self.a = Number("a", a, learn=learn_a, features=features)
        self.b = Number("b", b, learn=learn_b, features=features)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def flow(self, u: Tensor, threshold: Tensor | float) -> Tensor:
        """Compute a_0 u (u - u_c) [B, N], the current towards rest below u_c and away from it above.

        The u within the brackets is clamped to the threshold on both sides.
        """
        limit = torch.as_tensor(threshold, dtype=u.dtype, device=u.device)
        return self.curvature * u * (torch.clamp(u, -limit, limit) - self.critical)

    def step(self, current: Tensor, state: AdaptiveState) -> tuple[Tensor, AdaptiveState]:
        """Advance one step: after a spike reset u and raise w by b; move both by forward Euler; fire."""
        threshold, rate = self.threshold(), self.rate()
        w_start = state.w + self.b() * state.s
        u_start = self.next_potential.before_step(state.u, state.s, threshold)
        w = w_start + self.rate_recovery() * (self.a() * u_start - w_start)
        u_end = u_start + rate * (self.flow(u_start, threshold) - w_start + current)
        u = self.next_potential.after_step(u_end, state.s, threshold)
        s = self.surrogate(u - threshold)
        return s, AdaptiveState(u=u, w=w, s=s)

    @property
    def operations(self) -> Operations:
        return Operations(multiplications=6, additions=self.next_potential.additions + 6, comparisons=3, state_words=2)
