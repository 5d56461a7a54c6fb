"""The balanced resonate-and-fire neuron."""

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from sgbench.errors import InputError, require_number
from sgbench.neurons.arguments import require_argument
from sgbench.neurons.base import Operations, SpikingNeuron
from sgbench.neurons.quantity import Decay, Positive, Threshold, Value
from sgbench.surrogates.base import Surrogate

LARGEST_ANGLE = 0.999  # per step [rad]; from 1 rad on, forward Euler diverges whatever the damping


class BrfState(NamedTuple):
    """Holds the state of a `Brf` layer between time steps."""

    u: Tensor  # real part of the oscillation [B, N]
    v: Tensor  # imaginary part [B, N]
    q: Tensor  # refractory trace of its earlier spikes [B, N]
    s: Tensor  # spikes [B, N]


class Brf(SpikingNeuron):
    r"""Models a damped oscillator whose damping and threshold rise after each spike, kept from diverging (BRF).

    .. math::
        b[t] &= \frac{-1 + \sqrt{1 - (\omega dt)^2}}{dt} - b' - c q[t], \qquad q[t] = \gamma q[t-1] + s[t-1] \\
        u[t] &= u[t-1] + dt (b[t] u[t-1] - \omega v[t-1]) + I[t], \qquad
        v[t] = v[t-1] + dt (\omega u[t-1] + b[t] v[t-1]) \\
        s[t] &= H(u[t] - \theta - q[t])

    u and v are the real and imaginary part of the oscillation, q is a trace of the spikes s, and I the input
    current. There is no reset: q raises the threshold and the damping. The first term of b is the damping at which
    forward Euler neither grows nor shrinks. The current enters with gain 1, where the paper has dt; c is 1 per
    second there, with steps of 0.01 s.

    Args:
        damping_per_s: damping b' without spikes, above 0 [1/s].
        refractory_damping_per_s: c, damping that a spike adds, 0 or more [1/s].
        gamma: decay of the trace q per step [1].

    Source: Higuchi et al. 2024, ICML (arXiv:2402.14603), equations of the BRF neuron; there gamma = 0.9.

    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = Brf(spike, omega_rad_s=6.0, damping_per_s=1.0, refractory_damping_per_s=1.0, gamma=0.9, dt_s=0.1,
    ...     threshold=1.0, reset_gradient="attached", learn_omega_rad_s="none", learn_damping_per_s="none",
    ...     learn_threshold="none")
    >>> _, state = neuron.step(torch.full((1, 1), 2.0), neuron.initial_state(torch.zeros(1, 1)))  # a spike
    >>> _, state = neuron.step(torch.zeros(1, 1), state)  # damping sqrt(0.64) - 1 - 0.1 (1 + 1) = -0.4
    >>> round(state.u.item(), 6), round(state.v.item(), 6)
    (1.2, 1.2)
    """

    State: ClassVar[type[Any]] = BrfState
    # Of damping, rotation, trace and threshold.
    operations: Operations = Operations(multiplications=7, additions=9, comparisons=1, state_words=3)

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        omega_rad_s: Value,
        damping_per_s: Value,
        refractory_damping_per_s: float,
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
        fastest = float(torch.as_tensor(self.omega_rad_s.initial_value()).max())
        if fastest * self.dt_s >= 1:
            raise InputError(f"neuron.omega_rad_s={fastest:g}: below 1 / dt_s = {1 / self.dt_s:g} rad/s is needed")
        self.damping_per_s = Positive("damping_per_s", damping_per_s, learn=learn_damping_per_s, features=features)
        self.refractory_damping_per_s = require_number(
            "neuron.refractory_damping_per_s", refractory_damping_per_s, low=0
        )
        self.gamma = Decay("gamma", gamma, features=features)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def turn(self) -> Tensor:
        """Compute the angle of a step, omega dt, as a scalar or [N] [rad]; a learnt one is kept below 1."""
        omega = self.omega_rad_s()
        angle = self.dt_s * (omega if isinstance(omega, Tensor) else torch.tensor(omega, dtype=torch.float64))
        bounded = angle.clamp(max=LARGEST_ANGLE).detach()
        return bounded + (angle - angle.detach())

    def step(self, current: Tensor, state: BrfState) -> tuple[Tensor, BrfState]:
        """Advance one step: update the trace q, damp and rotate (u, v) by forward Euler, fire if u > theta + q."""
        q = self.gamma() * state.q + self.next_potential.reset_spikes(state.s)
        turn, damping = self.turn(), self.damping_per_s() + self.refractory_damping_per_s * q
        damped = ((1 - turn.square()).sqrt() - 1) - self.dt_s * damping
        u = state.u + (damped * state.u - turn * state.v) + current
        v = state.v + (turn * state.u + damped * state.v)
        s = self.surrogate(u - self.threshold() - q)
        return s, BrfState(u=u, v=v, q=q, s=s)

    def centred(self, state: BrfState) -> Tensor:
        return state.u - self.threshold() - state.q
