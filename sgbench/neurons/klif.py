"""The leaky neuron with a scaled and rectified potential."""

import torch
from torch import Tensor

from sgbench.neurons.base import InputGain, Operations, SpikingNeuron, SpikingState
from sgbench.neurons.quantity import Decay, Positive, Threshold, Value
from sgbench.surrogates.base import Surrogate


class Klif(SpikingNeuron):
    r"""Models a leaky neuron whose potential is scaled by a learnt k and rectified before it fires (KLIF).

    .. math:: u[t] = \max\big(0, k (\beta u[t-1] + g I[t])\big), \qquad s[t] = H(u[t] - \theta)

    for the membrane potential u, input current I and spike s, with u[t-1] after its reset. k scales the decay and
    the steepness of the surrogate at once. SpikingJelly's `scale_reset`, which divides the potential by k at a
    reset, is left out.

    Args:
        k: factor of the potential, above 0 [1].

    Source: Jiang & Zhang 2023, arXiv:2302.09238; SpikingJelly 2.0 `KLIFNode` (tested).

    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = Klif(spike, beta=0.5, k=2.0, threshold=1.0, reset="zero", reset_gradient="detached",
    ...     input_gain="one", learn_beta="none", learn_k="none", learn_threshold="none")
    >>> spikes, state = neuron.step(torch.tensor([[0.6, -0.6]]), neuron.initial_state(torch.zeros(1, 2)))
    >>> [round(u, 4) for u in state.u[0].tolist()], spikes.tolist()
    ([1.2, 0.0], [[1.0, 0.0]])
    """

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        beta: Value,
        k: Value,
        threshold: Value,
        reset: str,
        reset_gradient: str,
        input_gain: str,
        learn_beta: str,
        learn_k: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient)
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        self.input_gain = InputGain(input_gain, self.beta.initial_value())
        self.k = Positive("k", k, learn=learn_k, features=features)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: SpikingState) -> tuple[Tensor, SpikingState]:
        """Advance one step: decay, integrate, scale by k, rectify, fire."""
        threshold, beta, k = self.threshold(), self.beta(), self.k()
        driven = self.input_gain(beta) * current
        u = self.next_potential.around(
            lambda start: torch.relu(k * (beta * start + driven)), state.u, state.s, threshold
        )
        s = self.surrogate(u - threshold)
        return s, SpikingState(u=u, s=s)

    @property
    def operations(self) -> Operations:
        return self.leaky_operations(multiplications=1, comparisons=1)
