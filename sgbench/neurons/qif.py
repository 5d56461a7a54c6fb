"""The quadratic integrate-and-fire neuron."""

import torch
from torch import Tensor

from sgbench.neurons.arguments import require_argument
from sgbench.neurons.base import Operations, SpikingNeuron, SpikingState
from sgbench.neurons.quantity import EulerRate, Threshold, Value
from sgbench.surrogates.base import Surrogate


class Qif(SpikingNeuron):
    r"""Models a neuron with a quadratic flow between rest and a critical potential (QIF), by forward Euler.

    .. math:: \tau \dot u = a_0\, u\,(u - u_c) + R I, \qquad s[t] = H(u[t] - \theta)

    for the membrane potential u, input current I and spike s. Without input u decays to 0 below u_c and grows
    above. Beyond theta and minus theta the flow is linear in u, not quadratic. With R = tau/dt a current of 1
    raises u by 1 in a step.

    Source: Ermentrout & Kopell 1986, SIAM Journal on Applied Mathematics 46; Latham et al. 2000, Journal of
    Neurophysiology 83; SpikingJelly 2.0 `QIFNode` (tested).

    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = Qif(spike, tau_mem_s=0.002, dt_s=0.001, resistance=1.0, curvature=1.0, critical=0.5, threshold=1.0,
    ...     reset="zero", reset_to=0.0, reset_gradient="detached", learn_tau_mem_s="none", learn_threshold="none")
    >>> _, state = neuron.step(torch.full((1, 1), 1.5), neuron.initial_state(torch.zeros(1, 1)))  # u = 0.75
    >>> _, state = neuron.step(torch.zeros(1, 1), state)  # above 0.5: 0.75 + 0.5 * 0.75 * 0.25
    >>> state.u.item()
    0.84375
    """

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        tau_mem_s: Value,
        dt_s: float,
        resistance: float,
        curvature: float,
        critical: float,
        threshold: Value,
        reset: str,
        reset_to: float,
        reset_gradient: str,
        learn_tau_mem_s: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient, reset_to=reset_to)
        self.rate = EulerRate("tau_mem_s", tau_mem_s, dt_s=dt_s, learn=learn_tau_mem_s, features=features)
        self.curvature = require_argument("curvature", curvature)
        self.critical = require_argument("critical", critical)
        self.resistance = require_argument("resistance", resistance)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def flow(self, u: Tensor, threshold: Tensor | float) -> Tensor:
        """Compute a_0 u (u - u_c) [B, N], the current towards rest below u_c and away from it above.

        The u within the brackets is clamped to the threshold on both sides.
        """
        limit = torch.as_tensor(threshold, dtype=u.dtype, device=u.device)
        return self.curvature * u * (torch.clamp(u, -limit, limit) - self.critical)

    def step(self, current: Tensor, state: SpikingState) -> tuple[Tensor, SpikingState]:
        """Advance one step: reset the potential, move it by forward Euler, fire."""
        threshold, rate = self.threshold(), self.rate()
        u = self.next_potential.around(
            lambda start: start + rate * (self.flow(start, threshold) + self.resistance * current),
            state.u,
            state.s,
            threshold,
        )
        s = self.surrogate(u - threshold)
        return s, SpikingState(u=u, s=s)

    @property
    def operations(self) -> Operations:
        return Operations(multiplications=4, additions=self.next_potential.additions + 2, comparisons=3, state_words=1)
