"""The leaky integrator of a synaptic current, which does not fire."""

from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from fastspiking.spec import LinearSpec
from sgbench.neurons.base import InputGain, Neuron, Operations
from sgbench.neurons.quantity import Decay, Value


class SynapticReadoutState(NamedTuple):
    """Holds the state of a `SynapticReadout` layer between time steps."""

    i: Tensor  # synaptic current [B, N]
    u: Tensor  # potential [B, N]


class SynapticReadout(Neuron):
    r"""Models a leaky integrator of an exponentially decaying current, without spikes or reset, read by the loss.

    .. math::
        i[t] &= \alpha i[t-1] + I[t] \\
        u[t] &= \beta u[t-1] + g i[t]

    for the synaptic current i, potential u, which is the output, and input current I.

    Args:
        alpha: decay of the current per step, exp(-dt/tau_syn) [1].
        beta: decay of the potential per step, exp(-dt/tau) [1].

    Source: Neftci, Mostafa & Zenke 2019, companion code (`flt` and `out` there); Zenke & Vogels 2021, section
    4.2.2.

    >>> readout = SynapticReadout(alpha=0.5, beta=0.5, input_gain="one", learn_alpha="none", learn_beta="none")
    >>> current = torch.ones(1, 1)
    >>> output, state = readout.step(current, readout.initial_state(current))
    >>> readout.step(current, state)[0].item()  # 0.5 * 1 + (0.5 * 1 + 1)
    2.0
    """

    output: ClassVar[Literal["binary", "real"]] = "real"

    def __init__(
        self,
        features: int | None = None,
        *,
        alpha: Value,
        beta: Value,
        input_gain: str,
        learn_alpha: str,
        learn_beta: str,
    ) -> None:
        super().__init__()
        self.alpha = Decay("alpha", alpha, learn=learn_alpha, features=features)
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        self.input_gain = InputGain(input_gain, self.beta.initial_value())

    def initial_state(self, like: Tensor) -> SynapticReadoutState:
        return SynapticReadoutState(i=torch.zeros_like(like), u=torch.zeros_like(like))

    def step(self, current: Tensor, state: SynapticReadoutState) -> tuple[Tensor, SynapticReadoutState]:
        """Advance one step: decay and charge the current, then the potential, which is the output."""
        beta = self.beta()
        i = self.alpha() * state.i + current
        u = beta * state.u + self.input_gain(beta) * i
        return u, SynapticReadoutState(i=i, u=u)

    def centred(self, state: SynapticReadoutState) -> Tensor:
        return state.u

    def recurrence_spec(self) -> LinearSpec:
        """Return the coefficients of u and of the synaptic current i, of units that neither fire nor reset."""
        beta = self.beta()
        return LinearSpec(
            surrogate=None,
            reset="none",
            detached=True,
            decay=beta,
            second="i",
            input=0.0,
            coupling=self.input_gain(beta),
            second_decay=self.alpha(),
            second_input=1.0,
        )

    @property
    def operations(self) -> Operations:
        return Operations(
            multiplications=2 + self.input_gain.multiplications, additions=2, comparisons=0, state_words=2
        )
