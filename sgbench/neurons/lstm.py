"""Long short-term memories that spike: real gates with a thresholded output, and gates that are spikes."""

from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.neurons.base import Neuron, Operations
from sgbench.neurons.gated import HiddenReset, require_below_one, require_gates
from sgbench.neurons.quantity import Threshold, Value
from sgbench.surrogates.base import Surrogate

GATES = 4  # input, forget, cell, output


class LstmState(NamedTuple):
    """Holds the state of a layer of `Slstm` or `SpikingLstm` between time steps."""

    c: Tensor  # cell [B, N]
    u: Tensor  # hidden value of `Slstm`, current of the output gate of `SpikingLstm` [B, N]
    s: Tensor  # spikes [B, N]


class Slstm(Neuron):
    r"""Models long short-term memory that fires where its hidden value, which it feeds back, exceeds a threshold.

    .. math::
        c[t] &= \sigma(I_f + b_f) \, c[t-1] + \sigma(I_i) \tanh(I_g), \qquad h = \sigma(I_o) \tanh(c[t]) \\
        u[t] &= h - \theta s[t-1] \text{ (subtract)}, \; (1 - s[t-1]) h \text{ (zero)}, \; h \text{ (none)},
            \qquad s[t] = H(u[t] - \theta)

    for the cell c, hidden value u and spike s. A neuron takes four currents I, in the order i, f, g, o: of input
    gate, forget gate, cell and output gate. The network's recurrent weights V add V u[t-1] to them: with
    `network.recurrence=all_to_all` this is the full cell. In a convolutional network it is a convolutional LSTM.

    Args:
        threshold: theta, below 1: h lies within (-1, 1).
        forget_bias: b_f; at 0 an untrained cell forgets half in each step.
        reset: "none", "subtract" or "zero".

    Raises:
        InputError: a value out of range; a threshold that can never be crossed.

    Source: snnTorch 1.0 `SLSTM` and `SConv2dLSTM`. snnTorch's `SLSTM` sets its state to zero in each step unless
    it has as many inputs as neurons, and its default threshold is 1; both are pinned by a test. Where its state
    survives, spikes, states and gradients are equal (tested), as are those of `SConv2dLSTM`, whose gates lie in the
    order i, f, o, g.

    >>> from sgbench.surrogates.constant import Constant
    >>> neuron = Slstm(Constant(normalisation="peak1", scale=1.0), threshold=0.1, forget_bias=0.0, reset="none",
    ...                reset_gradient="detached", learn_threshold="none")
    >>> current = torch.tensor([[0.0, 0.0, 1.0, 0.0]])  # c = tanh(1) / 2, h = tanh(c) / 2
    >>> spikes, state = neuron.step(current, neuron.initial_state(current))
    >>> round(state.c.item(), 4), round(state.u.item(), 4), spikes.item()
    (0.3808, 0.1817, 1.0)
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"
    currents = GATES
    feeds_back: ClassVar[Literal["spikes", "potential"]] = "potential"

    def __init__(
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        threshold: Value,
        forget_bias: float,
        reset: str,
        reset_gradient: str,
        learn_threshold: str,
    ) -> None:
        super().__init__()
        self.surrogate = surrogate
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)
        require_below_one("slstm", self.threshold)
        self.forget_bias = require_number("neuron.forget_bias", forget_bias)
        self.hidden_reset = HiddenReset(reset, reset_gradient)

    def initial_state(self, like: Tensor) -> LstmState:
        zeros = torch.zeros_like(like.chunk(GATES, -1)[0])
        return LstmState(c=zeros, u=zeros, s=zeros)

    def step(self, current: Tensor, state: LstmState) -> tuple[Tensor, LstmState]:
        """Advance one step: update the cell, compute the hidden value from it, reset, fire."""
        i, f, g, o = current.chunk(GATES, -1)
        c = (f + self.forget_bias).sigmoid() * state.c + i.sigmoid() * g.tanh()
        threshold = self.threshold()
        u = self.hidden_reset(o.sigmoid() * c.tanh(), state.s, threshold)
        s = self.surrogate(u - threshold)
        return s, LstmState(c=c, u=u, s=s)

    def fed_back(self, state: LstmState) -> Tensor:
        return state.u

    def centred(self, state: LstmState) -> Tensor:
        return state.u - self.threshold()

    @property
    def operations(self) -> Operations:
        return Operations(
            multiplications=3, additions=2 + self.hidden_reset.additions, comparisons=1, state_words=2, functions=5
        )


class SpikingLstm(Neuron):
    r"""Models a long short-term memory whose gates are spikes.

    .. math::
        c[t] = \min(1, \; H(I_f) c[t-1] + H(I_i) H(I_g)), \qquad s[t] = H(I_o) c[t]

    for the cell c and spike s. A neuron takes four currents I, in the order i, f, g, o: of input gate, forget gate,
    cell and output gate. The network's recurrent weights V add V s[t-1] to them. The cell is one bit: gates i and g
    set it, f keeps it, o sends it. The gradient passes through the bound of 1 unchanged.

    Args:
        surrogate: spike forward, slope backward, of all four gates.

    Raises:
        InputError: the surrogate sends spikes that are not 0 or 1.

    Source: Rezaabad & Vishwanath 2020, ICONS, arXiv:2007.04779; equal to SpikingJelly 2.0.0 `SpikingLSTM`, which
    bounds the cell by 1 (tested).

    >>> from sgbench.surrogates.constant import Constant
    >>> neuron = SpikingLstm(Constant(normalisation="peak1", scale=1.0))
    >>> write, keep = torch.tensor([[1.0, -1.0, 1.0, -1.0]]), torch.tensor([[-1.0, 1.0, -1.0, 1.0]])
    >>> spikes, state = neuron.step(write, neuron.initial_state(write))
    >>> spikes.item(), neuron.step(keep, state)[0].item()
    (0.0, 1.0)
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"
    currents = GATES
    # A comparison for each gate and for the bound.
    operations: Operations = Operations(multiplications=3, additions=1, comparisons=5, state_words=2)

    def __init__(self, surrogate: Surrogate) -> None:
        super().__init__()
        self.surrogate = surrogate
        require_gates("spiking_lstm", surrogate)

    def initial_state(self, like: Tensor) -> LstmState:
        zeros = torch.zeros_like(like.chunk(GATES, -1)[0])
        return LstmState(c=zeros, u=zeros, s=zeros)

    def step(self, current: Tensor, state: LstmState) -> tuple[Tensor, LstmState]:
        """Advance one step: threshold the gates, update the cell, send it if the output gate spikes."""
        i, f, g, o = (self.surrogate(gate) for gate in current.chunk(GATES, -1))
        c = f * state.c + i * g
        c = c - (c - 1).relu().detach()
        s = o * c
        return s, LstmState(c=c, u=current.chunk(GATES, -1)[-1], s=s)

    def centred(self, state: LstmState) -> Tensor:
        return state.u
