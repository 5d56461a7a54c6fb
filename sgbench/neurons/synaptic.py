"""The current-based leaky integrate-and-fire neuron."""

from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from fastspiking.spec import LinearSpec
from sgbench.neurons.base import InputGain, Operations, SpikingNeuron
from sgbench.neurons.quantity import Decay, Threshold, Value
from sgbench.surrogates.base import Surrogate


class SynapticState(NamedTuple):
    """Holds the state of a `Synaptic` layer between time steps."""

    i: Tensor  # synaptic current [B, N]
    u: Tensor  # membrane potential [B, N], before its reset
    s: Tensor  # spikes [B, N]


class Synaptic(SpikingNeuron):
    r"""Models a leaky integrate-and-fire neuron with an exponentially decaying synaptic current (CUBA LIF).

    .. math::
        i[t] &= \alpha i[t-1] + I[t] \\
        u[t] &= \beta u[t-1] + g i[t] - \theta s[t-1], \qquad s[t] = H(u[t] - \theta)

    for the synaptic current i, membrane potential u, input current I and spike s, with g = 1 unless `input_gain`
    says otherwise. A reset acts on the membrane alone. With `zero` the current of the step after a spike is kept,
    where snnTorch's `Synaptic` drops it.

    Source: snnTorch 1.0 `Synaptic`, equal to it over 200 steps for subtract and none (tested); Neftci, Mostafa &
    Zenke 2019, section II.

    >>> import torch
    >>> from sgbench.surrogates.constant import Constant
    >>> neuron = Synaptic(Constant(normalisation="peak1", scale=1.0), alpha=0.5, beta=0.5, threshold=1.0,
    ...     reset="subtract", reset_gradient="detached", learn_alpha="none", learn_beta="none",
    ...     learn_threshold="none")
    >>> current = torch.tensor([[0.8]])
    >>> spikes, state = neuron.step(current, neuron.initial_state(current))
    >>> spikes, state = neuron.step(torch.zeros(1, 1), state)  # i = 0.4, u = 0.4 + 0.4
    >>> round(state.u.item(), 6)
    0.8
    """

    State: ClassVar[type[Any]] = SynapticState

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
        input_gain: str = "one",
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient)
        self.alpha = Decay("alpha", alpha, learn=learn_alpha, features=features)
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        self.input_gain = InputGain(input_gain, self.beta.initial_value())
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: SynapticState) -> tuple[Tensor, SynapticState]:
        """Advance one step: decay and charge the current, then the potential, apply the last reset, fire."""
        i = self.alpha() * state.i + current
        threshold, beta = self.threshold(), self.beta()
        u = self.next_potential(state.u, state.s, self.input_gain(beta) * i, beta, threshold)
        s = self.surrogate(u - threshold)
        return s, SynapticState(i=i, u=u, s=s)

    def recurrence_spec(self) -> LinearSpec:
        """Return the coefficients of u and of the synaptic current i, through which alone the input enters."""
        beta = self.beta()
        return self.linear_spec(
            decay=beta,
            second="i",
            input=0.0,
            coupling=self.input_gain(beta),
            second_decay=self.alpha(),
            second_input=1.0,
        )

    @property
    def operations(self) -> Operations:
        return self.leaky_operations(multiplications=1, additions=1, state_words=1)
