"""The harmonic resonate-and-fire neuron."""

from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from sgbench.neurons.arguments import require_argument
from sgbench.neurons.base import Operations, SpikingNeuron
from sgbench.neurons.quantity import Decay, Positive, Threshold, Value
from sgbench.surrogates.base import Surrogate


class HrfState(NamedTuple):
    """Holds the state of a `Hrf` layer between time steps."""

    u: Tensor  # velocity [B, N]
    v: Tensor  # position [B, N]
    q: Tensor  # refractory trace of its earlier spikes [B, N]
    s: Tensor  # spikes [B, N]


class Hrf(SpikingNeuron):
    r"""Models a damped harmonic oscillator that fires on its velocity, above a threshold raised by spikes (HRF).

    .. math::
        v[t] &= v[t-1] + dt\, u[t-1] \\
        u[t] &= u[t-1] - 2 b\, dt\, u[t-1] - \omega^2 dt\, v[t] + I[t] \\
        s[t] &= H(u[t] - \theta - q[t]), \qquad q[t] = \gamma q[t-1] + s[t-1]

    for the velocity u, position v, trace of spikes q, input current I and spike s. The step is symplectic: the new
    position enters the new velocity. There is no reset. The current enters with gain 1, where the paper has dt.

    Args:
        damping_per_s: damping b, above 0 [1/s].
        gamma: decay of the trace q per step [1].

    Source: Higuchi et al. 2024, ICML (arXiv:2402.14603), harmonic RF of its code; there gamma = 0.9 and dt = 0.01.

    >>> import torch
    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = Hrf(spike, omega_rad_s=2.0, damping_per_s=1.0, gamma=0.5, dt_s=0.25, threshold=1.0,
    ...     reset_gradient="attached", learn_omega_rad_s="none", learn_damping_per_s="none", learn_threshold="none")
    >>> _, state = neuron.step(torch.full((1, 1), 2.0), neuron.initial_state(torch.zeros(1, 1)))  # u = 2
    >>> spikes, state = neuron.step(torch.zeros(1, 1), state)  # v = 0.5, u = 2 - 1 - 0.5
    >>> state.v.item(), state.u.item(), state.q.item()
    (0.5, 0.5, 1.0)
    """

    State: ClassVar[type[Any]] = HrfState
    # Products of motion, damping, force and trace.
    operations: Operations = Operations(multiplications=4, additions=6, comparisons=1, state_words=3)

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        omega_rad_s: Value,
        damping_per_s: Value,
        gamma: Value,
        dt_s: float,
        threshold: Value,
        reset_gradient: str,
        learn_omega_rad_s: str,
        learn_damping_per_s: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, "none", reset_gradient)
        self.dt_s = require_argument("dt_s", dt_s)
        self.omega_rad_s = Positive("omega_rad_s", omega_rad_s, learn=learn_omega_rad_s, features=features)
        self.damping_per_s = Positive("damping_per_s", damping_per_s, learn=learn_damping_per_s, features=features)
        self.gamma = Decay("gamma", gamma, features=features)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: HrfState) -> tuple[Tensor, HrfState]:
        """Advance one step: update the trace, the position and the velocity, fire if u > theta + q."""
        q = self.gamma() * state.q + self.next_potential.reset_spikes(state.s)
        omega, dt = self.omega_rad_s(), self.dt_s
        v = state.v + dt * state.u
        u = state.u - (2 * dt) * self.damping_per_s() * state.u - dt * omega * omega * v + current
        s = self.surrogate(u - self.threshold() - q)
        return s, HrfState(u=u, v=v, q=q, s=s)

    def centred(self, state: HrfState) -> Tensor:
        return state.u - self.threshold() - state.q
