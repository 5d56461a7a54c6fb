"""Gated recurrent units that spike: real gates with a thresholded value, and gates that are spikes."""

from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from sgbench.neurons.base import Neuron, Operations
from sgbench.neurons.gated import HiddenReset, require_below_one, require_gates
from sgbench.neurons.quantity import Threshold, Value
from sgbench.surrogates.base import Surrogate

GATES = 3  # reset, update, new


class GruState(NamedTuple):
    """Holds the state of a layer of `Sgru` or `SpikingGru` between time steps."""

    u: Tensor  # hidden value of `Sgru`, potential of the new value of `SpikingGru` [B, N]
    s: Tensor  # spikes [B, N]


class _Gated(Neuron):
    """Models what both gated recurrent units share: currents in the order reset gate, update gate, new value.

    The recurrent current of the new value stays separate and comes last, as it passes the reset gate.
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"
    currents = GATES

    def __init__(self, surrogate: Surrogate) -> None:
        super().__init__()
        self.surrogate = surrogate

    def initial_state(self, like: Tensor) -> GruState:
        zeros = torch.zeros_like(like.chunk(GATES, -1)[0])
        return GruState(u=zeros, s=zeros)

    def driven(self, current: Tensor, recurrent: Tensor) -> Tensor:
        """Join the input and recurrent currents, each [B, 3 N], to [B, 4 N].

        The currents of both gates are summed; those of the new value follow, the recurrent one last.
        """
        gates = 2 * current.shape[-1] // GATES
        summed = current[..., :gates] + recurrent[..., :gates]
        return torch.cat([summed, current[..., gates:], recurrent[..., gates:]], -1)

    def _split(self, current: Tensor, state: GruState) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Split currents [B, 3 N or 4 N] into reset gate, update gate, new value and its recurrent part [B, N].

        Without recurrence the last is 0.
        """
        r, z, n, *recurrent = current.split(state.u.shape[-1], -1)
        return r, z, n, recurrent[0] if recurrent else torch.zeros_like(n)


class Sgru(_Gated):
    r"""Models a gated recurrent unit that fires where its hidden value, which it feeds back, exceeds a threshold.

    .. math::
        r &= \sigma(I_r), \quad z = \sigma(I_z), \quad n = \tanh(I_n + r \, V_n u[t-1]) \\
        h &= (1 - z) n + z u[t-1], \qquad u[t] = h - \theta s[t-1] \text{ (subtract)}, \;
            (1 - s[t-1]) h \text{ (zero)}, \; h \text{ (none)}, \qquad s[t] = H(u[t] - \theta)

    for the reset gate r, update gate z, new value n, hidden value u and spike s. A neuron takes three currents I,
    in the order r, z, n. The network's recurrent weights V add V u[t-1] to those of the gates; the recurrent
    current of n is multiplied by r.

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
        require_below_one("sgru", self.threshold)
        self.hidden_reset = HiddenReset(reset, reset_gradient)

    def step(self, current: Tensor, state: GruState) -> tuple[Tensor, GruState]:
        """Advance one step: compute the gates, mix the new with the old hidden value, reset, fire."""
        r, z, n, recurrent = self._split(current, state)
        z = z.sigmoid()
        h = (1 - z) * (n + r.sigmoid() * recurrent).tanh() + z * state.u
        threshold = self.threshold()
        u = self.hidden_reset(h, state.s, threshold)
        s = self.surrogate(u - threshold)
        return s, GruState(u=u, s=s)

    def fed_back(self, state: GruState) -> Tensor:
        return state.u

    def centred(self, state: GruState) -> Tensor:
        return state.u - self.threshold()

    @property
    def operations(self) -> Operations:
        return Operations(
            multiplications=3, additions=3 + self.hidden_reset.additions, comparisons=1, state_words=1, functions=3
        )


class SpikingGru(_Gated):
    r"""Models a gated recurrent unit whose gates and new value are spikes.

    .. math::
        r = H(I_r), \quad z = H(I_z), \quad n = H(I_n + r \, V_n s[t-1]), \qquad s[t] = (1 - z) n + z s[t-1]

    for the reset gate r, update gate z, new value n and spike s. A neuron takes three currents I, in the order r,
    z, n. The network's recurrent weights V add V s[t-1] to those of the gates; the recurrent current of n is
    multiplied by r.

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

    # Of both gates, the new value and the mixture.
    operations: Operations = Operations(multiplications=3, additions=3, comparisons=3, state_words=1)

    def __init__(self, surrogate: Surrogate) -> None:
        super().__init__(surrogate)
        require_gates("spiking_gru", surrogate)

    def step(self, current: Tensor, state: GruState) -> tuple[Tensor, GruState]:
        """Advance one step: threshold the gates and the new value, mix the latter with the last spike."""
        r, z, n, recurrent = self._split(current, state)
        z = self.surrogate(z)
        u = n + self.surrogate(r) * recurrent
        s = (1 - z) * self.surrogate(u) + z * state.s
        return s, GruState(u=u, s=s)

    def centred(self, state: GruState) -> Tensor:
        return state.u
