"""Gated recurrent units that spike: real gates with a thresholded value, and gates that are spikes."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from sgbench.neurons.base import Neuron, Operations
from sgbench.neurons.gated import HiddenReset, below_one, require_gates
from sgbench.neurons.quantity import Threshold, Value
from sgbench.surrogates.base import Surrogate

GATES = 3  # reset, update, new


class GruState(NamedTuple):
    """Holds what both kinds of layer carry from step to step."""

    u: Tensor  # hidden value of `Sgru`; what makes the new value of `SpikingGru` spike [B, N]
    s: Tensor  # spikes [B, N]


class _Gated(Neuron):
    """Holds currents of a gated recurrent unit: the recurrent one of the new value comes last, apart."""

    output: ClassVar[Literal["binary", "real"]] = "binary"
    currents = GATES

    def __init__(self, surrogate: Surrogate) -> None:
        super().__init__()
        self.surrogate = surrogate

    def initial_state(self, like: Tensor) -> GruState:
        """Start with nothing remembered, given a current `like` of all three kinds [B, 3 N]."""
        zeros = torch.zeros_like(like.chunk(GATES, -1)[0])
        return GruState(u=zeros, s=zeros)

    def driven(self, current: Tensor, recurrent: Tensor) -> Tensor:
        """Put the sums of both gates' currents and the new value's two currents side by side [B, 4 N]."""
        gates = 2 * current.shape[-1] // GATES
        both = current[..., :gates] + recurrent[..., :gates]
        return torch.cat([both, current[..., gates:], recurrent[..., gates:]], -1)

    def parts(self, current: Tensor, state: GruState) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Split the currents into reset gate, update gate, new value, and its recurrent one, or 0 [B, N]."""
        r, z, n, *recurrent = current.split(state.u.shape[-1], -1)
        return r, z, n, recurrent[0] if recurrent else torch.zeros_like(n)


class Sgru(_Gated):
    r"""Models a gated recurrent unit that fires where its hidden value, which it feeds back, exceeds a threshold.

    .. math::
        r &= \sigma(I_r), \quad z = \sigma(I_z), \quad n = \tanh(I_n + r \, V_n u[t-1]) \\
        h &= (1 - z) n + z u[t-1], \qquad u[t] = h - \theta s[t-1] \text{ (subtract)}, \;
            (1 - s[t-1]) h \text{ (zero)}, \; h \text{ (none)}, \qquad s[t] = H(u[t] - \theta)

    A neuron takes three currents, in the order r, z, n; the network's recurrence adds V u[t-1] to those of the
    gates, and what it adds to the third passes the reset gate.

    Args:
        threshold: theta, below 1: h lies within (-1, 1).
        reset: "none", "subtract" or "zero".

    Raises:
        InputError: a value out of range; a threshold that can never be crossed.

    Source: Cho et al. 2014, arXiv:1406.1078, in the form of `torch.nn.GRUCell`, to which the hidden values are
    equal (tested); thresholded as snnTorch's `SLSTM` is.

    >>> from sgbench.surrogates.constant import Constant
    >>> neuron = Sgru(Constant(normalisation="peak1", scale=1.0), threshold=0.1, reset="none",
    ...               reset_gradient="detached", learn_threshold="none")
    >>> current = torch.tensor([[0.0, 0.0, 1.0]])  # h = tanh(1) / 2
    >>> spikes, state = neuron.step(current, neuron.initial_state(current))
    >>> round(state.u.item(), 4), spikes.item()
    (0.3808, 1.0)
    """

    feeds_back: ClassVar[Literal["spikes", "potential"]] = "potential"

    def __init__(
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        threshold: Value,
        reset: str,
        reset_gradient: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)
        below_one("sgru", self.threshold)
        self.after = HiddenReset(reset, reset_gradient)

    def step(self, current: Tensor, state: GruState) -> tuple[Tensor, GruState]:
        """Advance one step: open the gates, mix the new value with the old one, fire."""
        r, z, n, recurrent = self.parts(current, state)
        z = z.sigmoid()
        h = (1 - z) * (n + r.sigmoid() * recurrent).tanh() + z * state.u
        threshold = self.threshold()
        u = self.after(h, state.s, threshold)
        s = self.surrogate(u - threshold)
        return s, GruState(u=u, s=s)

    def fed_back(self, state: GruState) -> Tensor:
        """Return the hidden value [B, N], which recurrent weights see in place of spikes."""
        return state.u

    def centred(self, state: GruState) -> Tensor:
        """Subtract the threshold from the hidden value [B, N]."""
        return state.u - self.threshold()

    @property
    def operations(self) -> Operations:
        """Count one step's arithmetic: three products, sums of values and reset, a comparison, three functions."""
        return Operations(3, 3 + self.after.additions, 1, state_words=1, functions=3)


class SpikingGru(_Gated):
    r"""Models a gated recurrent unit whose gates and new value are spikes.

    .. math::
        r = H(I_r), \quad z = H(I_z), \quad n = H(I_n + r \, V_n s[t-1]), \qquad s[t] = (1 - z) n + z s[t-1]

    A neuron takes three currents, in the order r, z, n; the network's recurrence adds V s[t-1] to those of the
    gates, and what it adds to the third passes the reset gate.

    Args:
        surrogate: spike forward, slope backward, of both gates and the new value.

    Raises:
        InputError: the surrogate sends spikes that are not 0 or 1.

    Source: SpikingJelly 2.0.0 `SpikingGRU`, equal to it (tested); after Cho et al. 2014, arXiv:1406.1078.

    >>> from sgbench.surrogates.constant import Constant
    >>> neuron = SpikingGru(Constant(normalisation="peak1", scale=1.0))
    >>> write, keep = torch.tensor([[0.0, -1.0, 1.0]]), torch.tensor([[0.0, 1.0, -1.0]])
    >>> spikes, state = neuron.step(write, neuron.initial_state(write))
    >>> spikes.item(), neuron.step(keep, state)[0].item()
    (1.0, 1.0)
    """

    # Three products, the sums of new value and mixture, three comparisons.
    operations: Operations = Operations(3, 3, 3, state_words=1)

    def __init__(self, surrogate: Surrogate) -> None:
        super().__init__(surrogate)
        require_gates("spiking_gru", surrogate)

    def step(self, current: Tensor, state: GruState) -> tuple[Tensor, GruState]:
        """Advance one step: fire the gates and the new value, mix it with the spike of the step before."""
        r, z, n, recurrent = self.parts(current, state)
        z = self.surrogate(z)
        u = n + self.surrogate(r) * recurrent
        s = (1 - z) * self.surrogate(u) + z * state.s
        return s, GruState(u=u, s=s)

    def centred(self, state: GruState) -> Tensor:
        """Return the potential of the new value [B, N], which spikes above 0."""
        return state.u
