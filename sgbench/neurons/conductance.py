"""The conductance-based leaky neuron."""

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.neurons.base import Operations, SpikingNeuron
from sgbench.neurons.quantity import Decay, EulerRate, Threshold, Value
from sgbench.surrogates.base import Surrogate


class ConductanceState(NamedTuple):
    """Holds the state of a `Conductance` layer between time steps."""

    excitatory: Tensor  # excitatory conductance, in units of the leak [B, N]
    inhibitory: Tensor  # inhibitory conductance [B, N]
    u: Tensor  # membrane potential [B, N], before its reset
    s: Tensor  # spikes [B, N]


class Conductance(SpikingNeuron):
    r"""Models a leaky neuron whose input opens channels towards two reversal potentials (conductance-based LIF).

    .. math::
        g_e[t] &= \alpha_e g_e[t-1] + \max(I[t], 0), \qquad g_i[t] = \alpha_i g_i[t-1] + \max(-I[t], 0) \\
        \tau \dot u &= -u + g_e (E_e - u) + g_i (E_i - u)

    u is the membrane potential and I the input current. The conductances g_e and g_i are in units of the leak
    conductance and constant within a step, over which u is solved exactly (exponential Euler), so that no
    conductance is too large for the step. The sign of the summed current decides which channel opens, as in Norse,
    which takes a forward Euler step instead.

    Args:
        alpha_excitatory: decay of the excitatory conductance per step [1].
        alpha_inhibitory: decay of the inhibitory conductance per step [1].
        reversal_excitatory: reversal potential E_e [units of u].
        reversal_inhibitory: reversal potential E_i [units of u].

    Source: Destexhe, Mainen & Sejnowski 1994, Neural Computation 6; Norse 1.1 `coba_lif_feed_forward_step` (tested
    in the limit of short steps).

    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = Conductance(spike, tau_mem_s=0.010, dt_s=0.001, alpha_excitatory=1.0, alpha_inhibitory=1.0,
    ...     reversal_excitatory=4.0, reversal_inhibitory=-1.0, threshold=9.0, reset="zero", reset_to=0.0,
    ...     reset_gradient="detached", learn_tau_mem_s="none", learn_threshold="none")
    >>> _, state = neuron.step(torch.ones(1, 1), neuron.initial_state(torch.zeros(1, 1)))
    >>> for _ in range(200):
    ...     _, state = neuron.step(torch.zeros(1, 1), state)
    >>> round(state.u.item(), 6)  # where -u + (4 - u) = 0
    2.0
    """

    State: ClassVar[type[Any]] = ConductanceState
    # The functions are an exponential and a division.
    operations: Operations = Operations(multiplications=6, additions=8, comparisons=1, state_words=3, functions=2)

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        tau_mem_s: Value,
        dt_s: float,
        alpha_excitatory: Value,
        alpha_inhibitory: Value,
        reversal_excitatory: float,
        reversal_inhibitory: float,
        threshold: Value,
        reset: str,
        reset_to: float,
        reset_gradient: str,
        learn_tau_mem_s: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient, reset_to=reset_to)
        self.rate = EulerRate("tau_mem_s", tau_mem_s, dt_s=dt_s, learn=learn_tau_mem_s, features=features)
        self.alpha_excitatory = Decay("alpha_excitatory", alpha_excitatory, features=features)
        self.alpha_inhibitory = Decay("alpha_inhibitory", alpha_inhibitory, features=features)
        self.reversal_excitatory = require_number("neuron.reversal_excitatory", reversal_excitatory)
        self.reversal_inhibitory = require_number("neuron.reversal_inhibitory", reversal_inhibitory)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: ConductanceState) -> tuple[Tensor, ConductanceState]:
        """Advance one step: decay and add to both conductances, move u towards its steady state, fire."""
        threshold, rate = self.threshold(), self.rate()
        excitatory = self.alpha_excitatory() * state.excitatory + current.relu()
        inhibitory = self.alpha_inhibitory() * state.inhibitory + (-current).relu()
        total = 1 + excitatory + inhibitory  # conductance, with the leak's
        steady = (excitatory * self.reversal_excitatory + inhibitory * self.reversal_inhibitory) / total
        decay = torch.exp(-rate * total)
        u = self.next_potential.around(lambda start: steady + (start - steady) * decay, state.u, state.s, threshold)
        s = self.surrogate(u - threshold)
        return s, ConductanceState(excitatory=excitatory, inhibitory=inhibitory, u=u, s=s)
