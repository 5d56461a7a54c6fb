"""The leaky integrator that does not fire."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from sgbench.engine.spec import LinearSpec
from sgbench.neurons.base import Decay, Neuron, Operations


class ReadoutState(NamedTuple):
    """What a `LeakyReadout` layer carries from step to step."""

    u: Tensor  # potential [B, N]


class LeakyReadout(Neuron):
    r"""Leaky integrator without spikes or reset, read out by the loss.

    .. math:: u[t] = \beta u[t-1] + I[t]

    Args:
        features: number of units, needed for a decay per unit.
        beta: decay per step [1].
        learn_beta: "none", "shared" or "per_neuron".

    Source: Neftci, Mostafa & Zenke 2019, companion code; snnTorch `Leaky(reset_mechanism="none")`, equal to its
    membrane (tested).

    >>> readout = LeakyReadout(beta=0.5, learn_beta="none")
    >>> current = torch.ones(1, 1)
    >>> output, state = readout.step(current, readout.initial_state(current))
    >>> readout.step(current, state)[0].item()
    1.5
    """

    output: ClassVar[Literal["binary", "real"]] = "real"

    def __init__(self, features: int | None = None, *, beta: float, learn_beta: str) -> None:
        super().__init__()
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)

    def initial_state(self, like: Tensor) -> ReadoutState:
        """Potential 0."""
        return ReadoutState(u=torch.zeros_like(like))

    def step(self, current: Tensor, state: ReadoutState) -> tuple[Tensor, ReadoutState]:
        """Decay and integrate; the output is the potential."""
        u = self.beta() * state.u + current
        return u, ReadoutState(u=u)

    def centred(self, state: ReadoutState) -> Tensor:
        """The potential: there is no threshold."""
        return state.u

    def recurrence_spec(self) -> LinearSpec:
        """Equation for equation."""
        return LinearSpec(surrogate=None, reset="none", detached=True, decay=self.beta())

    @property
    def operations(self) -> Operations:
        """One product and one sum."""
        return Operations(1, 1, 0, state_words=1)
