"""The sigma-delta neuron."""

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from sgbench.neurons.base import Operations, SpikingNeuron
from sgbench.neurons.quantity import Number, Threshold, Value
from sgbench.surrogates.base import Output, Surrogate


class SigmaDeltaState(NamedTuple):
    """Holds the state of a `SigmaDelta` layer between time steps."""

    a: Tensor  # sum of all input [B, N]
    r: Tensor  # sum of all sent values [B, N]
    u: Tensor  # change of the activation since it was last sent [B, N]
    s: Tensor  # sent value, u or 0 [B, N]


class SigmaDelta(SpikingNeuron):
    r"""Models a rectifier that adds up its input and sends the change of its activation once it is large enough.

    .. math::
        a[t] &= a[t-1] + I[t], \qquad u[t] = \max(0, a[t] + c) - r[t-1] \\
        s[t] &= u[t]\, H(|u[t]| - \theta), \qquad r[t] = r[t-1] + s[t]

    for the summed input a, input current I, sum of sent values r, unsent change u and sent value s. The next layer
    sums again, so a chain of such layers is a network of rectifiers that sends changes only, with an error of at
    most theta per neuron. Energy counts a multiplication for each sent value and synapse. It has no leak and no
    reset.

    Args:
        bias: c, added before the rectifier [units of a].
        threshold: smallest change theta that is sent [units of a].

    Source: O'Connor & Welling 2016, arXiv:1611.02024 (sigma-delta networks); lava-dl `SigmaDelta`.

    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = SigmaDelta(spike, bias=0.0, threshold=0.5, learn_bias="none", learn_threshold="none")
    >>> state = neuron.initial_state(torch.zeros(1, 1))
    >>> sent = []
    >>> for change in (0.25, 0.5, 0.0, -1.0):
    ...     out, state = neuron.step(torch.full((1, 1), change), state)
    ...     sent.append(out.item())
    >>> sent  # activations 0.25, 0.75, 0.75, 0
    [0.0, 0.75, 0.0, -0.75]
    """

    State: ClassVar[type[Any]] = SigmaDeltaState
    sends: Output = "real"  # changes, which are real numbers
    # Sums of input, bias, difference and trace; comparisons of the rectifier and both signs.
    operations: Operations = Operations(multiplications=1, additions=4, comparisons=3, state_words=2)

    def __init__(
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        bias: Value,
        threshold: Value,
        learn_bias: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, "none", "detached")
        self.take_over_firing()
        self.bias = Number("bias", bias, learn=learn_bias, features=features)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: SigmaDeltaState) -> tuple[Tensor, SigmaDeltaState]:
        """Advance one step: add the current, rectify, send the change if it exceeds the threshold."""
        threshold = self.threshold()
        a = state.a + current
        u = torch.relu(a + self.bias()) - state.r
        s = u * (self.surrogate(u - threshold) + self.surrogate(-u - threshold))
        return s, SigmaDeltaState(a=a, r=state.r + s, u=u, s=s)

    def centred(self, state: SigmaDeltaState) -> Tensor:
        return state.u.abs() - self.threshold()
