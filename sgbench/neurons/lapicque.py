"""Lapicque's circuit: a resistor, a capacitor and a threshold."""

from torch import Tensor

from fastspiking.spec import LinearSpec
from sgbench.errors import InputError, require_number
from sgbench.neurons.arguments import require_argument
from sgbench.neurons.base import Operations, SpikingNeuron, SpikingState
from sgbench.neurons.quantity import Threshold, Value
from sgbench.surrogates.base import Surrogate


class Lapicque(SpikingNeuron):
    r"""Models a resistor and capacitor in parallel, charged by a current, by forward Euler.

    .. math:: u[t] = \Big(1 - \frac{dt}{RC}\Big) u[t-1] + \frac{dt}{C} I[t] - \theta s[t-1]

    for the membrane potential u, input current I and spike s, with the reset `subtract`. snnTorch's `Lapicque(R, C,
    time_step)` is the same with `subtract` and `none`; its `zero` drops the current of the step after a spike. With
    beta in place of R or C, snnTorch applies the decay 1 + ln beta, not beta.

    Args:
        resistance_ohm: R, above 0 [ohm].
        capacitance_f: C, above 0 [farad].

    Raises:
        InputError: a value out of range, or dt_s not below RC.

    Source: Lapicque 1907; Brunel & van Rossum 2007, Biological Cybernetics 97; snnTorch 1.0 `Lapicque` (tested).

    >>> import torch
    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = Lapicque(spike, resistance_ohm=2.0, capacitance_f=0.002, dt_s=0.001, threshold=1.0, reset="none",
    ...     reset_gradient="detached", learn_threshold="none")
    >>> current = torch.ones(1, 1)
    >>> _, state = neuron.step(current, neuron.initial_state(current))
    >>> _, state = neuron.step(current, state)  # 0.75 * 0.5 + 0.5
    >>> state.u.item()
    0.875
    """

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        resistance_ohm: float,
        capacitance_f: float,
        dt_s: float,
        threshold: Value,
        reset: str,
        reset_gradient: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient)
        resistance = require_number("neuron.resistance_ohm", resistance_ohm, low=0, open_low=True)
        capacitance = require_number("neuron.capacitance_f", capacitance_f, low=0, open_low=True)
        dt = require_argument("dt_s", dt_s)
        if dt >= resistance * capacitance:
            raise InputError(
                f"neuron.dt_s={dt_s}: a step shorter than resistance_ohm * capacitance_f = "
                f"{resistance * capacitance:g} s is needed"
            )
        self.decay, self.gain = 1 - dt / (resistance * capacitance), dt / capacitance
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: SpikingState) -> tuple[Tensor, SpikingState]:
        """Advance one step: leak, charge, apply the last spike's reset, fire."""
        threshold = self.threshold()
        u = self.next_potential(state.u, state.s, self.gain * current, self.decay, threshold)
        s = self.surrogate(u - threshold)
        return s, SpikingState(u=u, s=s)

    def recurrence_spec(self) -> LinearSpec:
        return self.linear_spec(decay=self.decay, input=self.gain)

    @property
    def operations(self) -> Operations:
        return Operations(multiplications=2, additions=self.next_potential.additions, comparisons=1, state_words=1)
