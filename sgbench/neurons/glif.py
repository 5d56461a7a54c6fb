"""The gated leaky neuron."""

from torch import Tensor

from sgbench.errors import require_choice
from sgbench.neurons.base import Operations, SpikingNeuron, SpikingState
from sgbench.neurons.quantity import LEARN, Decay, Positive, Threshold, Value
from sgbench.surrogates.base import Surrogate


class Glif(SpikingNeuron):
    r"""Models a leaky neuron whose leak, input and reset are mixtures that gates choose (GLIF).

    .. math::
        u[t] &= (1 - a(1 - \beta)) u[t-1] (1 - c s[t-1]) - (1 - a) l - (1 - c) r s[t-1] \\
             &\quad + (1 - b(1 - g)) I[t]

    for the membrane potential u, input current I and spike s. The gates a, b, c in [0, 1] mix an exponential with a
    linear leak, a scaled with a plain input, and a reset to zero with one by subtraction. SpikingJelly learns an
    input gain g for every time step, which fixes the number of steps; here it is one number.

    Args:
        gate_leak: a, from linear (0) to exponential leak (1) [1].
        gate_input: b, from plain (0) to scaled input (1) [1].
        gate_reset: c, from reset by subtraction (0) to reset to zero (1) [1].
        beta: decay of the exponential leak per step [1].
        linear_leak: l, subtracted per step by the linear leak, above 0 [units of u].
        input_scale: g, factor of the scaled input, 0 to 1 [1].
        subtracted: r, what the reset by subtraction takes, above 0 [units of u].
        learn: "none", "shared" or "per_neuron", for gates, leaks, input_scale and subtracted alike.

    Source: Yao et al. 2022, NeurIPS (arXiv:2210.13768); SpikingJelly 2.0 `GatedLIFNode` (tested).

    >>> import torch
    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = Glif(spike, gate_leak=0.5, gate_input=0.5, gate_reset=0.5, beta=0.5, linear_leak=0.1,
    ...     input_scale=0.5, subtracted=1.0, threshold=1.0, reset_gradient="detached", learn="none",
    ...     learn_threshold="none")
    >>> current = torch.full((1, 1), 2.0)
    >>> _, state = neuron.step(current, neuron.initial_state(current))  # u = 0.75 * 2 - 0.05, a spike
    >>> _, state = neuron.step(current, state)  # 0.75 * 1.45 * 0.5 - 0.05 - 0.5 + 1.5
    >>> round(state.u.item(), 5)
    1.49375
    """

    # Products of decay, reset gate, input gain and subtraction.
    operations: Operations = Operations(multiplications=4, additions=4, comparisons=1, state_words=1)

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        gate_leak: Value,
        gate_input: Value,
        gate_reset: Value,
        beta: Value,
        linear_leak: Value,
        input_scale: Value,
        subtracted: Value,
        threshold: Value,
        reset_gradient: str,
        learn: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, "none", reset_gradient)
        require_choice("neuron.learn", learn, LEARN)
        self.gate_leak = Decay("gate_leak", gate_leak, learn=learn, features=features)
        self.gate_input = Decay("gate_input", gate_input, learn=learn, features=features)
        self.gate_reset = Decay("gate_reset", gate_reset, learn=learn, features=features)
        self.beta = Decay("beta", beta, learn=learn, features=features)
        self.linear_leak = Positive("linear_leak", linear_leak, learn=learn, features=features)
        self.input_scale = Decay("input_scale", input_scale, learn=learn, features=features)
        self.subtracted = Positive("subtracted", subtracted, learn=learn, features=features)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: SpikingState) -> tuple[Tensor, SpikingState]:
        """Advance one step: mix leaks, inputs and resets by their gates, fire."""
        threshold, reset_spikes = self.threshold(), self.next_potential.reset_spikes(state.s)
        leak_gate, reset_gate = self.gate_leak(), self.gate_reset()
        driven = (1 - self.gate_input() * (1 - self.input_scale())) * current
        remainder = (1 - leak_gate * (1 - self.beta())) * state.u * (1 - reset_gate * reset_spikes)
        u = (
            remainder
            - (1 - leak_gate) * self.linear_leak()
            - (1 - reset_gate) * self.subtracted() * reset_spikes
            + driven
        )
        s = self.surrogate(u - threshold)
        return s, SpikingState(u=u, s=s)
