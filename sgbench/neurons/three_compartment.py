"""The neuron with a basal dendrite, an apical dendrite and a soma."""

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from sgbench.neurons.base import Operations, SpikingNeuron
from sgbench.neurons.quantity import Decay, Threshold, Value
from sgbench.surrogates.base import Surrogate


class ThreeCompartmentState(NamedTuple):
    """Holds the state of a `ThreeCompartment` layer between time steps."""

    u: Tensor  # potential of the soma [B, N], before its reset
    basal: Tensor  # [B, N], before its reset
    apical: Tensor  # [B, N], before its reset
    s: Tensor  # spikes [B, N]


class ThreeCompartment(SpikingNeuron):
    r"""Models a soma that is driven by a basal dendrite with the input and an apical dendrite with the feedback.

    .. math::
        b[t] &= \beta (b[t-1] + I[t]), \qquad a[t] = \alpha (a[t-1] + V s[t-1]) \\
        u[t] &= u[t-1] + \lambda (b[t] + a[t] - u[t-1]), \qquad s[t] = H(u[t] - \theta)

    for the potentials b, a and u of basal dendrite, apical dendrite and soma, input current I and spike s. A spike
    sets all three to 0 before the next step. V are the network's recurrent weights; without them the apical
    dendrite gets no input.

    Args:
        basal: beta, decay of the basal dendrite per step, 1/tau_basal of the source [1].
        apical: alpha, decay of the apical dendrite per step, 1/tau_apical of the source [1].
        soma: lambda, rate per step at which the soma follows the sum of its dendrites, 1/tau of the source [1].

    Source: Zeng et al. 2023, Patterns 4(8), BrainCog's `ThreeCompNode` as coded, all time constants 2 there.

    >>> from sgbench.surrogates.constant import Constant
    >>> neuron = ThreeCompartment(Constant(normalisation="peak1", scale=1.0), basal=0.5, apical=0.5, soma=0.5,
    ...     threshold=1.0, reset_gradient="detached", learn_basal="none", learn_apical="none", learn_soma="none",
    ...     learn_threshold="none")
    >>> current = torch.tensor([[2.0]])
    >>> spikes, state = neuron.step(neuron.driven(current, torch.tensor([[4.0]])), neuron.initial_state(current))
    >>> state.basal.item(), state.apical.item(), state.u.item(), spikes.item()
    (1.0, 2.0, 1.5, 1.0)
    """

    State: ClassVar[type[Any]] = ThreeCompartmentState
    # A product per compartment; sums of currents and soma.
    operations: Operations = Operations(multiplications=3, additions=5, comparisons=1, state_words=3)

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        basal: Value,
        apical: Value,
        soma: Value,
        threshold: Value,
        reset_gradient: str,
        learn_basal: str,
        learn_apical: str,
        learn_soma: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, "zero", reset_gradient)
        self.basal = Decay("basal", basal, learn=learn_basal, features=features)
        self.apical = Decay("apical", apical, learn=learn_apical, features=features)
        self.soma = Decay("soma", soma, learn=learn_soma, features=features)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def driven(self, current: Tensor, recurrent: Tensor) -> Tensor:
        """Join input (of the basal dendrite) and recurrent current (of the apical one) to [B, 2 N]."""
        return torch.cat([current, recurrent], -1)

    def step(self, current: Tensor, state: ThreeCompartmentState) -> tuple[Tensor, ThreeCompartmentState]:
        """Advance one step: apply the last spike's reset, charge the dendrites, then the soma, fire."""
        feedforward, *feedback = current.split(state.u.shape[-1], -1)
        not_reset = 1 - self.next_potential.reset_spikes(state.s)
        basal = self.basal() * (not_reset * state.basal + feedforward)
        apical = self.apical() * (not_reset * state.apical + (feedback[0] if feedback else 0.0))
        u = not_reset * state.u
        u = u + self.soma() * (basal + apical - u)
        s = self.surrogate(u - self.threshold())
        return s, ThreeCompartmentState(u=u, basal=basal, apical=apical, s=s)
