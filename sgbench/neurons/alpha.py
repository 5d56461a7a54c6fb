"""The leaky neuron whose response to a spike is an alpha function."""

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from fastspiking.spec import LinearSpec
from sgbench.errors import InputError
from sgbench.neurons.base import Operations, SpikingNeuron
from sgbench.neurons.quantity import Decay, Threshold, Value
from sgbench.surrogates.base import Surrogate

EQUAL_LOGS = 1e-3  # log decays nearer than this count as equal; the error is below 1e-7


class AlphaState(NamedTuple):
    """Holds the state of an `Alpha` layer between time steps."""

    i: Tensor  # synaptic current [B, N]
    u: Tensor  # membrane potential [B, N], before its reset
    s: Tensor  # spikes [B, N]


class Alpha(SpikingNeuron):
    r"""Models a leaky neuron whose potential answers an input spike with a rise and a fall, one step late.

    .. math::
        i[t] &= \alpha i[t-1] + I[t] \\
        u[t] &= \beta u[t-1] + g i[t-1] - \theta s[t-1], \qquad
        g = -\ln\beta \, \frac{\alpha - \beta}{\ln\alpha - \ln\beta}

    with synaptic current i, potential u, input current I and spike s. Without a spike of its own
    :math:`u[n] = \tau(\alpha^n - \beta^n)` after an input spike at n = 0, with
    snnTorch's :math:`\tau = \ln\beta / (\ln\beta - \ln\alpha)`; for equal decays the alpha function itself,
    :math:`n \alpha^n \ln(1/\alpha)`. The current enters one step later than in other neurons. A reset acts on the
    potential alone; in snnTorch `zero` clears the currents too, and `subtract` moves them.

    Args:
        alpha: decay of the synaptic current per step, exp(-dt/tau_syn), strictly between 0 and 1 [1].
        beta: decay of the membrane per step, exp(-dt/tau_mem), strictly between 0 and 1 [1].

    Source: snnTorch 1.0 `Alpha`, equal to it without reset (tested); Gerstner & Kistler 2002, Spiking Neuron
    Models, section 4.2.

    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = Alpha(spike, alpha=0.5, beta=0.25, threshold=1.0, reset="none", reset_gradient="detached",
    ...     learn_alpha="none", learn_beta="none", learn_threshold="none")
    >>> state = neuron.initial_state(torch.zeros(1, 1))
    >>> potentials = []
    >>> for current in (1.0, 0.0, 0.0):
    ...     _, state = neuron.step(torch.full((1, 1), current), state)
    ...     potentials.append(round(state.u.item(), 4))
    >>> potentials  # tau = ln 0.25 / (ln 0.25 - ln 0.5) = 2
    [0.0, 0.5, 0.375]
    """

    State: ClassVar[type[Any]] = AlphaState

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        alpha: Value,
        beta: Value,
        threshold: Value,
        reset: str,
        reset_gradient: str,
        learn_alpha: str,
        learn_beta: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient)
        self.alpha = Decay("alpha", alpha, learn=learn_alpha, features=features)
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        for decay in (self.alpha, self.beta):
            value = torch.as_tensor(decay.initial_value())
            if not ((value > 0) & (value < 1)).all():
                raise InputError(f"neuron.{decay.name}={value.tolist()}: strictly between 0 and 1 is needed")
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def coupling(self) -> Tensor | float:
        """Compute g / alpha, the factor by which the decayed current alpha i[t-1] moves the potential.

        A tensor, which carries gradient, if a decay is one; else a number.
        """
        decays = (self.alpha(), self.beta())
        alpha, beta = (x if isinstance(x, Tensor) else torch.tensor(x, dtype=torch.float64) for x in decays)
        log_ratio = alpha.log() - beta.log()
        equal = log_ratio.abs() < EQUAL_LOGS
        # The logarithmic mean of both decays; near 0 / 0 the geometric mean, which it tends to.
        mean = torch.where(equal, (alpha * beta).sqrt(), (alpha - beta) / torch.where(equal, 1.0, log_ratio))
        coupling = -beta.log() * mean / alpha
        return coupling if any(isinstance(x, Tensor) for x in decays) else coupling.item()

    def step(self, current: Tensor, state: AlphaState) -> tuple[Tensor, AlphaState]:
        """Advance one step: charge u by the decayed synaptic current, add the input to it, reset, fire."""
        i = self.alpha() * state.i + current
        threshold, coupling = self.threshold(), self.coupling()
        # alpha i[t-1] is i - I, written in the order in which the engines add.
        driven = -coupling * current + coupling * i
        u = self.next_potential(state.u, state.s, driven, self.beta(), threshold)
        s = self.surrogate(u - threshold)
        return s, AlphaState(i=i, u=u, s=s)

    def recurrence_spec(self) -> LinearSpec:
        """Return the coefficients of u and of the slower current i; the input enters u by their difference."""
        coupling = self.coupling()
        return self.linear_spec(
            second="i",
            decay=self.beta(),
            input=-coupling,
            coupling=coupling,
            second_decay=self.alpha(),
            second_input=1.0,
        )

    @property
    def operations(self) -> Operations:
        return self.leaky_operations(multiplications=3, additions=2, state_words=1)
