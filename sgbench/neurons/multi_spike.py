"""The leaky neuron that sends several spikes in one step."""

from __future__ import annotations

import torch
from torch import Tensor

from sgbench.errors import require_count, require_number
from sgbench.neurons.base import InputGain, Operations, SpikingNeuron, SpikingState
from sgbench.neurons.quantity import Decay, Threshold, Value
from sgbench.surrogates.base import Output, Surrogate

LARGEST_OFFSET = 0.999


class MultiSpike(SpikingNeuron):
    r"""Models a leaky neuron that sends, and pays for, a spike for each of n thresholds that its potential exceeds.

    .. math:: s[t] = \sum_{k=1}^{n} H\big(u[t] - (k - \delta)\theta\big), \qquad
        u[t] = \beta u[t-1] + g I[t] - \theta s[t-1]

    With offset 0 it counts whole thresholds, as sinabs and Rockpool do; with 0.5 it rounds (I-LIF), so that what
    its potential keeps is as often below 0 as above. Every threshold has the surrogate's slope: a rectangle as wide
    as a threshold is the straight-through estimator. A `zero` reset is refused.

    Args:
        most: n, spikes at most in one step.
        offset: delta, in [0, 1) [thresholds].

    Source: Luo et al. 2024, ECCV (arXiv:2407.20708), I-LIF; SpikingJelly 2.0 `ILIFNode` and sinabs 3.1 `MultiSpike`
    (tested).

    >>> import torch
    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = MultiSpike(spike, beta=0.5, most=3, offset=0.5, threshold=1.0, reset="subtract_decayed",
    ...     reset_gradient="detached", input_gain="one", learn_beta="none", learn_threshold="none")
    >>> spikes, state = neuron.step(torch.tensor([[0.25, 1.75, 9.0]]), neuron.initial_state(torch.zeros(1, 3)))
    >>> spikes.tolist()
    [[0.0, 2.0, 3.0]]
    >>> neuron.step(torch.zeros(1, 3), state)[1].u.tolist()
    [[0.125, -0.125, 3.0]]
    """

    sends: Output = "integer"  # whole numbers of spikes, 0, 1, 2 and so on

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        beta: Value,
        most: int,
        offset: float,
        threshold: Value,
        reset: str,
        reset_gradient: str,
        input_gain: str,
        learn_beta: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient)
        self.fires_by_itself()
        self.refuse_zero()
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        self.input_gain = InputGain(input_gain, self.beta.given())
        self.most = require_count("neuron.most", most)
        self.offset = require_number("neuron.offset", offset, low=0, high=LARGEST_OFFSET)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: SpikingState) -> tuple[Tensor, SpikingState]:
        """Advance one step: decay, integrate, pay for the last spikes, fire as often as thresholds are exceeded."""
        threshold, beta = self.threshold(), self.beta()
        u = self.next_potential(state.u, state.s, self.input_gain(beta) * current, beta, threshold)
        s = torch.zeros_like(u)
        for k in range(1, self.most + 1):
            s = s + self.surrogate(u - (k - self.offset) * threshold)
        return s, SpikingState(u=u, s=s)

    def centred(self, state: SpikingState) -> Tensor:
        """Subtract the first of the thresholds from the membrane potential [B, N]."""
        return state.u - (1 - self.offset) * self.threshold()

    @property
    def operations(self) -> Operations:
        """Count one step's arithmetic: that of `Leaky`, a product for the count, a comparison per threshold."""
        return Operations(
            2 + self.input_gain.multiplications, self.next_potential.additions, self.most, state_words=1
        )
