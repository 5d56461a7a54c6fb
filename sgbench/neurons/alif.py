"""The leaky integrate-and-fire neuron with an adaptive threshold."""

from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from fastspiking.spec import LinearSpec
from sgbench.neurons.base import InputGain, Operations, SpikingNeuron
from sgbench.neurons.quantity import Decay, Number, Threshold, Value
from sgbench.surrogates.base import Surrogate


class AlifState(NamedTuple):
    """Holds the state of an `Alif` layer between time steps."""

    u: Tensor  # membrane potential [B, N], before its reset
    a: Tensor  # adaptation [B, N], a trace of its own spikes
    s: Tensor  # spikes [B, N]


class Alif(SpikingNeuron):
    r"""Models a leaky integrate-and-fire neuron whose threshold rises with each of its spikes.

    .. math::
        a[t] &= \rho a[t-1] + s[t-1] \\
        u[t] &= \beta u[t-1] + g I[t] - \theta s[t-1], \qquad s[t] = H(u[t] - \theta - \kappa a[t])

    for the membrane potential u, adaptation a, input current I and spike s, with g = 1 unless `input_gain` says
    otherwise. The reset subtracts the resting threshold, not the raised one. `reset_gradient=detached` cuts the
    gradient of the reset alone: gradients still flow from a spike into its neuron's own threshold.

    Args:
        threshold: resting threshold theta [units of u].

    Source: Bellec et al. 2018, NeurIPS (LSNN); Bellec et al. 2020, Nature Communications 11:3625, equations 8 to
    10 without refractory period, there with input gain 1 as here.

    >>> import torch
    >>> from sgbench.surrogates.constant import Constant
    >>> neuron = Alif(Constant(normalisation="peak1", scale=1.0), beta=0.5, rho=0.9, kappa=2.0, threshold=1.0,
    ...     reset="subtract", reset_gradient="detached", learn_beta="none", learn_rho="none", learn_kappa="none",
    ...     learn_threshold="none")
    >>> current = torch.tensor([[3.0]])
    >>> spikes, state = neuron.step(current, neuron.initial_state(current))  # u = 3 > 1
    >>> spikes, state = neuron.step(current, state)  # u = 1.5 + 3 - 1 = 3.5, threshold 1 + 2
    >>> spikes.item(), neuron.centred(state).item()
    (1.0, 0.5)
    """

    State: ClassVar[type[Any]] = AlifState

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        beta: Value,
        rho: Value,
        kappa: Value,
        threshold: Value,
        reset: str,
        reset_gradient: str,
        learn_beta: str,
        learn_rho: str,
        learn_kappa: str,
        learn_threshold: str,
        input_gain: str = "one",
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient)
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        self.input_gain = InputGain(input_gain, self.beta.initial_value())
        self.rho = Decay("rho", rho, learn=learn_rho, features=features)
        self.kappa = Number("kappa", kappa, learn=learn_kappa, features=features)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: AlifState) -> tuple[Tensor, AlifState]:
        """Advance one step: add the last spike to a, decay and charge u, apply the last reset, fire."""
        threshold, beta = self.threshold(), self.beta()
        a = self.rho() * state.a + state.s
        u = self.next_potential(state.u, state.s, self.input_gain(beta) * current, beta, threshold)
        s = self.surrogate(u - (threshold + self.kappa() * a))
        return s, AlifState(u=u, a=a, s=s)

    def centred(self, state: AlifState) -> Tensor:
        return state.u - (self.threshold() + self.kappa() * state.a)

    def recurrence_spec(self) -> LinearSpec:
        """Return the coefficients of u and of the adaptation a, which raises the threshold."""
        beta = self.beta()
        return self.linear_spec(
            second="a",
            decay=beta,
            input=self.input_gain(beta),
            second_decay=self.rho(),
            second_spike=1.0,
            threshold_slope=self.kappa(),
        )

    @property
    def operations(self) -> Operations:
        return self.leaky_operations(multiplications=2, additions=2, state_words=1)
