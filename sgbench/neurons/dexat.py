"""The leaky neuron whose threshold adapts on two time scales."""

from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from sgbench.neurons.base import InputGain, Operations, SpikingNeuron
from sgbench.neurons.quantity import Decay, Number, Threshold, Value
from sgbench.surrogates.base import Surrogate


class DexatState(NamedTuple):
    """Holds the state of a `Dexat` layer between time steps."""

    u: Tensor  # membrane potential [B, N], before its reset
    fast: Tensor  # fast trace of its own spikes [B, N]
    slow: Tensor  # slow trace of its own spikes [B, N]
    s: Tensor  # spikes [B, N]


class Dexat(SpikingNeuron):
    r"""Models a leaky neuron whose threshold rises with its spikes and falls back as a double exponential (DEXAT).

    .. math::
        b_k[t] &= \rho_k b_k[t-1] + (1 - \rho_k) s[t-1], \qquad k = 1, 2 \\
        u[t] &= \beta u[t-1] + g I[t] - \theta s[t-1], \qquad
        s[t] = H(u[t] - \theta - \kappa_1 b_1[t] - \kappa_2 b_2[t])

    u is the membrane potential, b_1 and b_2 a fast and a slow trace of the spikes s, and I the input current. The
    reset subtracts the resting threshold; only its gradient may be detached, as in `Alif`. A spike lasts for a
    step: double both kappas when the time step is halved.

    Args:
        rho_fast: rho_1, decay of the fast trace per step [1].
        rho_slow: rho_2, decay of the slow trace per step [1].
        kappa_fast: kappa_1, rise of the threshold per unit of the fast trace [units of u].
        kappa_slow: kappa_2, rise of the threshold per unit of the slow trace [units of u].
        threshold: resting threshold theta [units of u].

    Source: Shaban, Bezugam & Suri 2021, Nature Communications 12:4234, equations of the DEXAT neuron.

    >>> import torch
    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = Dexat(spike, beta=0.5, rho_fast=0.5, rho_slow=0.75, kappa_fast=2.0, kappa_slow=4.0, threshold=1.0,
    ...     reset="subtract", reset_gradient="detached", input_gain="one_minus_beta", learn_beta="none",
    ...     learn_kappa_fast="none", learn_kappa_slow="none", learn_threshold="none")
    >>> current = torch.full((1, 1), 4.0)
    >>> _, state = neuron.step(current, neuron.initial_state(current))  # u = 2, a spike
    >>> spikes, state = neuron.step(current, state)  # u = 1 + 2 - 1, threshold 1 + 2 * 0.5 + 4 * 0.25
    >>> state.u.item(), neuron.centred(state).item()
    (2.0, -1.0)
    """

    State: ClassVar[type[Any]] = DexatState

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        beta: Value,
        rho_fast: Value,
        rho_slow: Value,
        kappa_fast: Value,
        kappa_slow: Value,
        threshold: Value,
        reset: str,
        reset_gradient: str,
        input_gain: str,
        learn_beta: str,
        learn_kappa_fast: str,
        learn_kappa_slow: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient)
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        self.input_gain = InputGain(input_gain, self.beta.initial_value())
        self.rho_fast = Decay("rho_fast", rho_fast, features=features)
        self.rho_slow = Decay("rho_slow", rho_slow, features=features)
        self.kappa_fast = Number("kappa_fast", kappa_fast, learn=learn_kappa_fast, features=features)
        self.kappa_slow = Number("kappa_slow", kappa_slow, learn=learn_kappa_slow, features=features)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: DexatState) -> tuple[Tensor, DexatState]:
        """Advance one step: update both traces, decay and charge u, apply the last reset, fire."""
        beta, rho_fast, rho_slow = self.beta(), self.rho_fast(), self.rho_slow()
        fast = rho_fast * state.fast + (1 - rho_fast) * state.s
        slow = rho_slow * state.slow + (1 - rho_slow) * state.s
        u = self.next_potential(state.u, state.s, self.input_gain(beta) * current, beta, self.threshold())
        before_spike = DexatState(u=u, fast=fast, slow=slow, s=state.s)
        s = self.surrogate(self.centred(before_spike))
        return s, before_spike._replace(s=s)

    def centred(self, state: DexatState) -> Tensor:
        raised = self.kappa_fast() * state.fast + self.kappa_slow() * state.slow
        return state.u - (self.threshold() + raised)

    @property
    def operations(self) -> Operations:
        return self.leaky_operations(multiplications=6, additions=5, state_words=2)
