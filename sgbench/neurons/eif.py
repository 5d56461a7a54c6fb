"""The exponential integrate-and-fire neuron."""

from torch import Tensor

from sgbench.neurons.arguments import require_argument
from sgbench.neurons.base import Operations, SpikingNeuron, SpikingState, Takeoff
from sgbench.neurons.quantity import EulerRate, Threshold, Value
from sgbench.surrogates.base import Surrogate


class Eif(SpikingNeuron):
    r"""Models a leaky neuron that takes off exponentially beyond its rheobase (EIF), by forward Euler.

    .. math:: \tau \dot u = -u + \Delta e^{(u - u_T)/\Delta} + R I, \qquad s[t] = H(u[t] - \theta)

    for the membrane potential u, input current I and spike s. Where a reset leaves u above theta, the exponential
    is that at theta, so that it cannot overflow. The current enters with gain R dt/tau; with R = 1, weights have to
    be larger than those of a `Leaky` layer.

    Args:
        threshold: potential theta at which a spike counts and resets [units of u].

    Source: Fourcaud-Trocme et al. 2003, Journal of Neuroscience 23; SpikingJelly 2.0 `EIFNode` (tested).

    >>> import torch
    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = Eif(spike, tau_mem_s=0.002, dt_s=0.001, resistance=1.0, sharpness=0.5, rheobase=0.0, threshold=1.0,
    ...     reset="zero", reset_to=0.0, reset_gradient="detached", learn_tau_mem_s="none", learn_threshold="none")
    >>> _, state = neuron.step(torch.ones(1, 1), neuron.initial_state(torch.zeros(1, 1)))  # 0.5 (0 + 0.5 e^0 + 1)
    >>> state.u.item()
    0.75
    """

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        tau_mem_s: Value,
        dt_s: float,
        resistance: float,
        sharpness: float,
        rheobase: float,
        threshold: Value,
        reset: str,
        reset_to: float,
        reset_gradient: str,
        learn_tau_mem_s: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient, reset_to=reset_to)
        self.rate = EulerRate("tau_mem_s", tau_mem_s, dt_s=dt_s, learn=learn_tau_mem_s, features=features)
        self.takeoff = Takeoff(sharpness=sharpness, rheobase=rheobase)
        self.resistance = require_argument("resistance", resistance)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: SpikingState) -> tuple[Tensor, SpikingState]:
        """Advance one step: reset the potential, move it by forward Euler, fire."""
        threshold, rate = self.threshold(), self.rate()
        u = self.next_potential.around(
            lambda start: start + rate * (-start + self.takeoff(start, threshold) + self.resistance * current),
            state.u,
            state.s,
            threshold,
        )
        s = self.surrogate(u - threshold)
        return s, SpikingState(u=u, s=s)

    @property
    def operations(self) -> Operations:
        return Operations(
            multiplications=4, additions=self.next_potential.additions + 3, comparisons=2, state_words=1, functions=1
        )
