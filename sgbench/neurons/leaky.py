"""The leaky integrate-and-fire neuron."""

from torch import Tensor

from fastspiking.spec import LinearSpec
from sgbench.neurons.base import InputGain, Operations, SpikingNeuron, SpikingState
from sgbench.neurons.quantity import Decay, Threshold, Value
from sgbench.surrogates.base import Surrogate


class Leaky(SpikingNeuron):
    r"""Models a leaky integrate-and-fire neuron.

    .. math:: u[t] = \beta u[t-1] + g I[t] - \theta s[t-1], \qquad s[t] = H(u[t] - \theta)

    for the membrane potential u, input current I and spike s, with the default reset; the others are in
    `ResetPotential`. The current enters without a delay, with gain g = 1 unless `input_gain` says otherwise, and
    the state holds the potential before its reset, all as in snnTorch.

    Source: snnTorch 1.0 `Leaky`, equal to it over 200 steps for subtract, zero and none (tested); Neftci,
    Mostafa & Zenke 2019, section II.

    >>> import torch
    >>> from sgbench.surrogates.constant import Constant
    >>> neuron = Leaky(Constant(normalisation="peak1", scale=1.0), beta=0.5, threshold=1.0, reset="subtract",
    ...                reset_gradient="detached", learn_beta="none", learn_threshold="none")
    >>> current = torch.tensor([[1.5]])
    >>> spikes, state = neuron.step(current, neuron.initial_state(current))
    >>> spikes, state = neuron.step(torch.zeros(1, 1), state)  # 0.5 * 1.5 + 0 - 1
    >>> state.u.item()
    -0.25
    """

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        beta: Value,
        threshold: Value,
        reset: str,
        reset_gradient: str,
        learn_beta: str,
        learn_threshold: str,
        input_gain: str = "one",
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient)
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        self.input_gain = InputGain(input_gain, self.beta.initial_value())
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: SpikingState) -> tuple[Tensor, SpikingState]:
        """Advance one step: decay the potential, add the current, apply the last spike's reset, fire."""
        threshold, beta = self.threshold(), self.beta()
        driven = self.input_gain(beta) * current
        u = self.next_potential(state.u, state.s, driven, beta, threshold)
        s = self.surrogate(u - threshold)
        return s, SpikingState(u=u, s=s)

    def recurrence_spec(self) -> LinearSpec:
        beta = self.beta()
        return self.linear_spec(decay=beta, input=self.input_gain(beta))

    @property
    def operations(self) -> Operations:
        return self.leaky_operations()
