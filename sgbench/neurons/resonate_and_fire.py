"""The resonate-and-fire neuron."""

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from fastspiking.spec import LinearSpec
from sgbench.neurons.arguments import require_argument
from sgbench.neurons.base import Operations, SpikingNeuron
from sgbench.neurons.quantity import Decay, Positive, Threshold, Value
from sgbench.surrogates.base import Surrogate

SMALLEST_COSINE = 0.17  # below it, computing w[t-1] from w[t] would lose digits


class ResonateAndFireState(NamedTuple):
    """Holds the state of a `ResonateAndFire` layer between time steps."""

    w: Tensor  # current-like variable [B, N], the real part
    u: Tensor  # voltage-like variable [B, N], the imaginary part, before its reset
    s: Tensor  # spikes [B, N]


class ResonateAndFire(SpikingNeuron):
    r"""Models a damped oscillator :math:`z = w + i u` that fires when its imaginary part passes the threshold.

    .. math::
        z[t] = \beta e^{i \omega dt} z[t-1] + I[t], \qquad s[t] = H(\operatorname{Im} z[t] - \theta)

    for the input current I, spike s and unit step H; exact between inputs, whatever the time step. It responds best
    to inputs spaced by its period, and can fire after inhibition. A reset acts on the imaginary part alone. With
    reset `none` or `subtract` fast engines run it, for omega dt below 1.4.

    Args:
        beta: decay of the oscillation per step, exp(-dt/tau_mem) [1].

    Source: Izhikevich 2001, Neural Networks 14, equation 1; SpikingJelly 2.0 `RAFNode` (tested).

    >>> import math, torch
    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = ResonateAndFire(spike, beta=0.5, omega_rad_s=500 * math.pi, dt_s=0.001, threshold=1.0,
    ...     reset="none", reset_gradient="detached", learn_beta="none", learn_omega_rad_s="none",
    ...     learn_threshold="none")
    >>> current = torch.full((1, 1), 3.0)
    >>> _, state = neuron.step(current, neuron.initial_state(current))
    >>> spikes, state = neuron.step(0 * current, state)  # a quarter turn: from w = 3 to u = 1.5
    >>> round(state.u.item(), 6), spikes.item()
    (1.5, 1.0)
    """

    State: ClassVar[type[Any]] = ResonateAndFireState

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        beta: Value,
        omega_rad_s: Value,
        dt_s: float,
        threshold: Value,
        reset: str,
        reset_gradient: str,
        learn_beta: str,
        learn_omega_rad_s: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient)
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        self.omega_rad_s = Positive("omega_rad_s", omega_rad_s, learn=learn_omega_rad_s, features=features)
        self.dt_s = require_argument("dt_s", dt_s)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def rotation(self) -> tuple[Tensor, Tensor]:
        """Return the cosine and the sine of omega dt, the angle that z turns per step; scalars or [N]."""
        omega = self.omega_rad_s()
        angle = self.dt_s * (omega if isinstance(omega, Tensor) else torch.tensor(omega, dtype=torch.float64))
        return angle.cos(), angle.sin()

    def step(self, current: Tensor, state: ResonateAndFireState) -> tuple[Tensor, ResonateAndFireState]:
        """Advance one step: apply the last reset, rotate and decay z, add the current to w, fire."""
        threshold, beta = self.threshold(), self.beta()
        cos, sin = self.rotation()
        start = self.next_potential.before_step(state.u, state.s, threshold)
        w = beta * (cos * state.w - sin * start) + current
        turned = beta * (sin * state.w + cos * start)
        u = self.next_potential.after_step(turned, state.s, threshold)
        s = self.surrogate(u - threshold)
        return s, ResonateAndFireState(w=w, u=u, s=s)

    def recurrence_spec(self) -> LinearSpec | None:
        """Return the equations as coefficients, for engines that do not call `step`, with w[t-1] from w[t].

        None for resets that reach w, and for angles whose cosine is below `SMALLEST_COSINE`.
        """
        cos, sin = self.rotation()
        if self.next_potential.reset not in ("none", "subtract") or bool((cos < SMALLEST_COSINE).any()):
            return None
        beta = self.beta()
        return self.linear_spec(
            second="w",
            decay=beta / cos,
            input=-sin / cos,
            coupling=sin / cos,
            second_decay=beta * cos,
            second_potential=-beta * sin,
            second_input=1.0,
        )

    @property
    def operations(self) -> Operations:
        return Operations(multiplications=6, additions=self.next_potential.additions + 2, comparisons=1, state_words=2)
