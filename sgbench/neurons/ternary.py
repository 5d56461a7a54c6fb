"""The leaky neuron with spikes of both signs."""

from torch import Tensor

from sgbench.neurons.base import InputGain, Operations, SpikingNeuron, SpikingState
from sgbench.neurons.quantity import Decay, Threshold, Value
from sgbench.surrogates.base import Output, Surrogate


class Ternary(SpikingNeuron):
    r"""Models a leaky neuron that sends 1 above its threshold and -1 below minus its threshold.

    .. math:: s[t] = H(u[t] - \theta) - H(-u[t] - \theta), \qquad u[t] = \beta u[t-1] + g I[t] - \theta s[t-1]

    for the membrane potential u, input current I and spike s. A reset moves u by theta towards 0. Unlike with
    firing=ternary, a learnt threshold moves the negative one too.

    Raises:
        InputError: a value out of range, reset `zero`, or a surrogate with spikes other than 0 and 1.

    Source: Guo et al. 2024, AAAI (Ternary Spike); SpikingJelly 2.0 `TernaryLIFNode` (tested).

    >>> import torch
    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = Ternary(spike, beta=0.5, threshold=1.0, reset="subtract_decayed", reset_gradient="detached",
    ...     input_gain="one", learn_beta="none", learn_threshold="none")
    >>> spikes, state = neuron.step(torch.tensor([[-1.5, 0.5, 1.5]]), neuron.initial_state(torch.zeros(1, 3)))
    >>> spikes.tolist()
    [[-1.0, 0.0, 1.0]]
    >>> neuron.step(torch.zeros(1, 3), state)[1].u.tolist()  # 0.5 (-1.5 + 1), 0.5 * 0.5, 0.5 (1.5 - 1)
    [[-0.25, 0.25, 0.25]]
    """

    sends: Output = "signed"  # spikes of both signs, -1, 0 or 1

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        beta: Value,
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
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: SpikingState) -> tuple[Tensor, SpikingState]:
        """Advance one step: decay, integrate, apply the last spike's reset, send 1, -1 or 0."""
        threshold, beta = self.threshold(), self.beta()
        u = self.next_potential(state.u, state.s, self.input_gain(beta) * current, beta, threshold)
        s = self.surrogate(u - threshold) - self.surrogate(-u - threshold)
        return s, SpikingState(u=u, s=s)

    @property
    def operations(self) -> Operations:
        return self.leaky_operations(comparisons=1)
