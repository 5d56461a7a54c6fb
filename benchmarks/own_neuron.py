"""A neuron of somebody's own, as a user writes one: three variables, nothing but torch."""

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from sgbench.neurons.base import Operations, SpikingNeuron
from sgbench.neurons.quantity import Threshold
from sgbench.surrogates.base import Surrogate

LARGEST = 2.0  # input current


class ThreeVariablesState(NamedTuple):
    """What a `ThreeVariables` layer carries from step to step."""

    u: Tensor  # membrane potential [B, N], before its reset
    fast: Tensor  # current that follows the input [B, N]
    slow: Tensor  # adaptation [B, N]
    s: Tensor  # spikes [B, N]


class ThreeVariables(SpikingNeuron):
    r"""Leaky neuron with a saturating input current and a gated adaptation.

    .. math:: f &\leftarrow 0.8 f + 0.5 \tanh I, \qquad a \leftarrow 0.95 a + 0.1 |u| \sigma(u) + 0.3 s \\
        u &\leftarrow 0.9 u (1 - s) + f + 0.5 I - 0.2 a

    Args:
        surrogate: spike forward, slope backward.
    """

    State: ClassVar[type[Any]] = ThreeVariablesState

    def __init__(self, surrogate: Surrogate) -> None:
        super().__init__(surrogate, "zero", "attached")
        self.threshold = Threshold(1.0, learn="none", features=None)

    def step(self, current: Tensor, state: ThreeVariablesState) -> tuple[Tensor, ThreeVariablesState]:
        """Follow the input, adapt, integrate, fire."""
        fast = 0.8 * state.fast + 0.5 * torch.tanh(current)
        slow = 0.95 * state.slow + 0.1 * state.u.abs() * torch.sigmoid(state.u) + 0.3 * state.s
        u = 0.9 * state.u * (1 - state.s) + fast + 0.5 * current - 0.2 * slow
        s = self.surrogate(u - self.threshold())
        return s, ThreeVariablesState(u, torch.where(fast > LARGEST, LARGEST, fast), slow, s)

    @property
    def operations(self) -> Operations:
        """Products and sums as written; a tanh and a sigmoid."""
        return Operations(10, 9, 2, state_words=3, functions=2)
