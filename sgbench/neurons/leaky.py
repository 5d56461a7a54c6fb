"""The leaky integrate-and-fire neuron."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from sgbench.engine.spec import LinearSpec
from sgbench.neurons.base import Decay, Neuron, Operations, ResetPotential, Threshold
from sgbench.surrogates.base import Surrogate


class LeakyState(NamedTuple):
    """What a `Leaky` layer carries from step to step."""

    u: Tensor  # membrane potential [B, N], before its reset
    s: Tensor  # spikes [B, N]


class Leaky(Neuron):
    r"""Leaky integrate-and-fire neuron.

    .. math:: u[t] = \beta u[t-1] + I[t] - \theta s[t-1], \qquad s[t] = H(u[t] - \theta)

    with the default reset; the others are in `ResetPotential`. The current enters in its own step with gain 1,
    and the potential shown is the one before its reset, both as in snnTorch.

    Args:
        surrogate: spike forward, slope backward.
        features: number of neurons, needed for a decay per neuron.
        beta: decay of the membrane per step, exp(-dt/tau_mem) [1].
        threshold: firing threshold theta [units of u].
        reset: "subtract", "subtract_decayed", "zero" or "none".
        reset_gradient: "detached" or "attached".
        learn_beta: "none", "shared" or "per_neuron".
        learn_threshold: "none", "shared" or "per_neuron".

    Source: snnTorch 1.0 `Leaky`, equal to it over 200 steps for subtract, zero and none (tested); Neftci,
    Mostafa & Zenke 2019, section II.

    >>> from sgbench.surrogates.constant import Constant
    >>> neuron = Leaky(Constant(normalisation="peak1", scale=1.0), beta=0.5, threshold=1.0, reset="subtract",
    ...                reset_gradient="detached", learn_beta="none", learn_threshold="none")
    >>> current = torch.tensor([[1.5]])
    >>> spikes, state = neuron.step(current, neuron.initial_state(current))
    >>> spikes, state = neuron.step(torch.zeros(1, 1), state)  # 0.5 * 1.5 + 0 - 1
    >>> state.u.item()
    -0.25
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"

    def __init__(
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        beta: float,
        threshold: float,
        reset: str,
        reset_gradient: str,
        learn_beta: str,
        learn_threshold: str,
    ) -> None:
        super().__init__()
        self.surrogate = surrogate
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)
        self.next_potential = ResetPotential(reset, reset_gradient)

    def initial_state(self, like: Tensor) -> LeakyState:
        """Rest: potential 0, no spike."""
        zeros = torch.zeros_like(like)
        return LeakyState(u=zeros, s=zeros)

    def step(self, current: Tensor, state: LeakyState) -> tuple[Tensor, LeakyState]:
        """Decay, integrate, pay the last spike's reset, fire."""
        threshold = self.threshold()
        u = self.next_potential(state.u, state.s, current, self.beta(), threshold)
        s = self.surrogate(u - threshold)
        return s, LeakyState(u=u, s=s)

    def centred(self, state: LeakyState) -> Tensor:
        """Membrane potential minus threshold."""
        return state.u - self.threshold()

    def recurrence_spec(self) -> LinearSpec:
        """Equation for equation."""
        return LinearSpec(
            surrogate=self.surrogate,
            reset=self.next_potential.reset,
            detached=self.next_potential.detached,
            decay=self.beta(),
            threshold=self.threshold(),
        )

    @property
    def operations(self) -> Operations:
        """The decay's product, the additions of current and reset, one comparison; u is kept."""
        return Operations(1, self.next_potential.additions, 1, state_words=1)
