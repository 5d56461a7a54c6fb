"""The leaky neuron that sends several spikes in one step."""

import torch
from torch import Tensor

from sgbench.errors import require_count, require_number
from sgbench.neurons.base import InputGain, Operations, SpikingNeuron, SpikingState
from sgbench.neurons.quantity import Decay, Threshold, Value
from sgbench.surrogates.base import Output, Surrogate

LARGEST_OFFSET = 0.999


class MultiSpike(SpikingNeuron):
    r"""Models a leaky neuron that sends one spike for each of n thresholds below its potential.

    .. math:: s[t] = \sum_{k=1}^{n} H\big(u[t] - (k - \delta)\theta\big), \qquad
        u[t] = \beta u[t-1] + g I[t] - \theta s[t-1]

    for the membrane potential u, input current I and number of spikes s. With offset 0 it counts whole thresholds,
    as sinabs and Rockpool do; with 0.5 it rounds to the nearest number (I-LIF). Each threshold has the surrogate's
    slope: a rectangle as wide as a threshold is the straight-through estimator.

    Args:
        most: n, the largest number of spikes in one step.
        offset: delta, lowers every threshold, 0 to 0.999 [units of theta].

    Raises:
        InputError: a value out of range, reset `zero`, or a surrogate with spikes other than 0 and 1.

    Source: Luo et al. 2024, ECCV (arXiv:2407.20708), I-LIF; SpikingJelly 2.0 `ILIFNode` and sinabs 3.1 `MultiSpike`
    (tested).

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
        self.take_over_firing()
        self.refuse_zero()
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        self.input_gain = InputGain(input_gain, self.beta.initial_value())
        self.most = require_count("neuron.most", most)
        self.offset = require_number("neuron.offset", offset, low=0, high=LARGEST_OFFSET)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: SpikingState) -> tuple[Tensor, SpikingState]:
        """Advance one step: decay, integrate, apply the reset of all last spikes, count thresholds below u."""
        threshold, beta = self.threshold(), self.beta()
        u = self.next_potential(state.u, state.s, self.input_gain(beta) * current, beta, threshold)
        s = torch.zeros_like(u)
        for k in range(1, self.most + 1):
            s = s + self.surrogate(u - (k - self.offset) * threshold)
        return s, SpikingState(u=u, s=s)

    def centred(self, state: SpikingState) -> Tensor:
        return state.u - (1 - self.offset) * self.threshold()

    @property
    def operations(self) -> Operations:
        return self.leaky_operations(multiplications=1, comparisons=self.most - 1)
