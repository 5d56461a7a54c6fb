"""The leaky integrator that does not fire."""

from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from fastspiking.spec import LinearSpec
from sgbench.neurons.base import InputGain, Neuron, Operations
from sgbench.neurons.quantity import Decay, Value


class ReadoutState(NamedTuple):
    """Holds the state of a `LeakyReadout` layer between time steps."""

    u: Tensor  # potential [B, N]


class LeakyReadout(Neuron):
    r"""Models a leaky integrator without spikes or reset, read out by the loss.

    .. math:: u[t] = \beta u[t-1] + g I[t]

    for the potential u, which is the output, and the input current I.

    Args:
        beta: decay per step [1].

    Source: Neftci, Mostafa & Zenke 2019, companion code; snnTorch `Leaky(reset_mechanism="none")`, equal to its
    membrane (tested).

    >>> readout = LeakyReadout(beta=0.5, learn_beta="none")
    >>> current = torch.ones(1, 1)
    >>> output, state = readout.step(current, readout.initial_state(current))
    >>> readout.step(current, state)[0].item()
    1.5
    """

    output: ClassVar[Literal["binary", "real"]] = "real"

    def __init__(self, features: int | None = None, *, beta: Value, learn_beta: str, input_gain: str = "one") -> None:
        super().__init__()
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        self.input_gain = InputGain(input_gain, self.beta.initial_value())

    def initial_state(self, like: Tensor) -> ReadoutState:
        return ReadoutState(u=torch.zeros_like(like))

    def step(self, current: Tensor, state: ReadoutState) -> tuple[Tensor, ReadoutState]:
        beta = self.beta()
        u = beta * state.u + self.input_gain(beta) * current
        return u, ReadoutState(u=u)

    def centred(self, state: ReadoutState) -> Tensor:
        return state.u

    def recurrence_spec(self) -> LinearSpec:
        beta = self.beta()
        return LinearSpec(surrogate=None, reset="none", detached=True, decay=beta, input=self.input_gain(beta))

    @property
    def operations(self) -> Operations:
        return Operations(
            multiplications=1 + self.input_gain.multiplications, additions=1, comparisons=0, state_words=1
        )
