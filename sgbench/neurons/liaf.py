"""The leaky neuron that sends analog values."""

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from sgbench.errors import require_choice
from sgbench.neurons.base import InputGain, Operations, SpikingNeuron
from sgbench.neurons.quantity import Decay, Threshold, Value
from sgbench.surrogates.base import Output, Surrogate

ACTIVATIONS = {"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}


class LiafState(NamedTuple):
    """Holds the state of a `Liaf` layer between time steps."""

    u: Tensor  # membrane potential [B, N], before its reset
    fired: Tensor  # spikes that reset and are not sent [B, N]
    s: Tensor  # analog values that it sends [B, N]


class Liaf(SpikingNeuron):
    r"""Models a leaky neuron that resets as if it fired, but sends an analog value instead of a spike (LIAF).

    .. math:: u[t] = \beta u[t-1] + g I[t] - \theta H(u[t-1] - \theta), \qquad s[t] = f(u[t] - \theta)

    for the membrane potential u, input current I and sent value s. Energy counts a multiplication for each sent
    value and synapse.

    Args:
        activation: f, one of "relu", "sigmoid" and "tanh".

    Source: Wu et al. 2021, IEEE TNNLS (arXiv:2011.06176); SpikingJelly 2.0 `LIAFNode` (tested).

    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = Liaf(spike, beta=0.5, threshold=1.0, activation="relu", reset="zero", reset_gradient="detached",
    ...     input_gain="one", learn_beta="none", learn_threshold="none")
    >>> sent, state = neuron.step(torch.tensor([[1.75, 0.5]]), neuron.initial_state(torch.zeros(1, 2)))
    >>> sent.tolist()
    [[0.75, 0.0]]
    """

    State: ClassVar[type[Any]] = LiafState
    sends: Output = "real"  # analog values

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        beta: Value,
        threshold: Value,
        activation: str,
        reset: str,
        reset_gradient: str,
        input_gain: str,
        learn_beta: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient)
        self.take_over_firing()
        self.activation = require_choice("neuron.activation", activation, tuple(ACTIVATIONS))
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        self.input_gain = InputGain(input_gain, self.beta.initial_value())
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: LiafState) -> tuple[Tensor, LiafState]:
        """Advance one step: decay, integrate, apply the reset of the unsent spike, send an analog value."""
        threshold, beta = self.threshold(), self.beta()
        u = self.next_potential(state.u, state.fired, self.input_gain(beta) * current, beta, threshold)
        s = ACTIVATIONS[self.activation](u - threshold)
        return s, LiafState(u=u, fired=self.surrogate(u - threshold), s=s)

    @property
    def operations(self) -> Operations:
        rectifies = self.activation == "relu"
        return self.leaky_operations(additions=1, comparisons=int(rectifies), functions=1 - rectifies)
