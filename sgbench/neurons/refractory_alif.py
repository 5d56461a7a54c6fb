"""The neuron with an adaptive threshold that stays silent for some time after each spike."""

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from sgbench.errors import require_choice
from sgbench.neurons.arguments import require_argument
from sgbench.neurons.base import InputGain, Operations, SpikingNeuron
from sgbench.neurons.quantity import Decay, Number, Threshold, Value
from sgbench.surrogates.base import Surrogate

UNITS = ("resting", "raised")


class RefractoryAlifState(NamedTuple):
    """Holds the state of a `RefractoryAlif` layer between time steps."""

    u: Tensor  # membrane potential [B, N], before its reset
    a: Tensor  # adaptation [B, N], a trace of its own spikes
    left: Tensor  # remaining steps without a spike [B, N]
    s: Tensor  # spikes [B, N]


class RefractoryAlif(SpikingNeuron):
    r"""Models an adaptive leaky neuron that does not fire in the n steps after a spike, but goes on integrating.

    .. math::
        a[t] &= \rho a[t-1] + s[t-1] \\
        u[t] &= \beta u[t-1] + g I[t] - \theta s[t-1], \qquad
        s[t] = \begin{cases} 0 & k[t-1] > 0 \\ H(u[t] - \theta - \kappa a[t]) & \text{else} \end{cases} \\
        k[t] &= \begin{cases} n & s[t] = 1 \\ \max(k[t-1] - 1, 0) & \text{else} \end{cases}

    for the membrane potential u, adaptation a, input current I, spike s and remaining silent steps k, with n the
    period in steps, rounded. While a neuron is silent the surrogate's slope is 0, as in the paper. For n = 0 it is
    an `Alif`. A list for kappa, such as [0, 0, 1, 1], lets half of a layer adapt.

    The raised threshold is A[t] = theta + kappa a[t]. With `unit=raised` the reset subtracts A in place of theta,
    and the surrogate takes (u - A) / A in place of u - A, as in the authors' code of 2018.

    Args:
        period_s: for how long it stays silent, 0 or more [s].
        unit: "resting" (reset by theta, surrogate of u - A) or "raised" (reset by A, surrogate of (u - A) / A).
        threshold: resting threshold theta [units of u].

    Source: Bellec et al. 2020, Nature Communications 11:3625, equations 6 to 10 and Methods (no spike, and a slope
    of 0, during the refractory period); `unit=raised`: Bellec et al. 2018, NeurIPS, as IGITUGraz/LSNN-official has
    it.

    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = RefractoryAlif(spike, beta=0.5, rho=0.9, kappa=1.0, period_s=0.002, dt_s=0.001, unit="resting",
    ...     threshold=1.0, reset="subtract", reset_gradient="detached", input_gain="one", learn_beta="none",
    ...     learn_rho="none", learn_kappa="none", learn_threshold="none")
    >>> state = neuron.initial_state(torch.zeros(1, 1))
    >>> sent = []
    >>> for _ in range(5):
    ...     spikes, state = neuron.step(torch.full((1, 1), 2.0), state)
    ...     sent.append(int(spikes))
    >>> sent, round(state.u.item(), 4)  # silent, yet integrating: 2, 2, 3, 3.5, 2.75
    ([1, 0, 0, 1, 0], 2.75)
    """

    State: ClassVar[type[Any]] = RefractoryAlifState

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        beta: Value,
        rho: Value,
        kappa: Value,
        period_s: float,
        dt_s: float,
        unit: str,
        threshold: Value,
        reset: str,
        reset_gradient: str,
        input_gain: str,
        learn_beta: str,
        learn_rho: str,
        learn_kappa: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient)
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        self.input_gain = InputGain(input_gain, self.beta.initial_value())
        self.rho = Decay("rho", rho, learn=learn_rho, features=features)
        self.kappa = Number("kappa", kappa, learn=learn_kappa, features=features)
        dt = require_argument("dt_s", dt_s)
        self.steps = round(require_argument("period_s", period_s) / dt)
        self.is_raised = require_choice("neuron.unit", unit, UNITS) == "raised"
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: RefractoryAlifState) -> tuple[Tensor, RefractoryAlifState]:
        """Advance one step: update a, decay, integrate, apply the last reset, fire unless silent, count down."""
        beta = self.beta()
        a = self.rho() * state.a + state.s
        raised = self.threshold() + self.kappa() * a
        reset_by = raised if self.is_raised else self.threshold()
        u = self.next_potential(state.u, state.s, self.input_gain(beta) * current, beta, reset_by)
        s = self.surrogate(self._distance(u, raised)) * ~(state.left > 0)
        left = torch.where(s.detach() > 0, float(self.steps), (state.left - 1).relu())
        return s, RefractoryAlifState(u=u, a=a, left=left, s=s)

    def centred(self, state: RefractoryAlifState) -> Tensor:
        return self._distance(state.u, self.threshold() + self.kappa() * state.a)

    def _distance(self, u: Tensor, raised: Tensor) -> Tensor:
        """Return potential minus raised threshold [B, N], divided by the latter with `unit=raised`."""
        return (u - raised) / raised if self.is_raised else u - raised

    @property
    def operations(self) -> Operations:
        return self.leaky_operations(multiplications=2, additions=3, comparisons=1, state_words=2)
