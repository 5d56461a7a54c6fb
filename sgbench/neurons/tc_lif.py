"""The two-compartment leaky integrate-and-fire neuron."""

from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from fastspiking.spec import LinearSpec
from sgbench.neurons.base import Operations, SpikingNeuron
from sgbench.neurons.quantity import Decay, Number, Threshold, Value
from sgbench.surrogates.base import Surrogate


class TcLifState(NamedTuple):
    """Holds the state of a `TcLif` layer between time steps."""

    u: Tensor  # potential of the soma [B, N], before its reset
    d: Tensor  # potential of the dendrite [B, N], before its reset
    s: Tensor  # spikes [B, N]


class TcLif(SpikingNeuron):
    r"""Models a dendrite that takes the current, coupled to a soma that fires; neither leaks (TC-LIF).

    .. math::
        d[t] &= d[t-1] - \gamma s[t-1] - a (u[t-1] - \theta s[t-1]) + I[t] \\
        u[t] &= u[t-1] - \theta s[t-1] + b \, d[t], \qquad s[t] = H(u[t] - \theta)

    for the potentials d of the dendrite and u of the soma, input current I and spike s. A spike subtracts theta
    from the soma and gamma from the dendrite at the beginning of the next step. With a = b = 1/2 both oscillate,
    undamped, with a period of 12.4 steps.

    Args:
        soma_to_dendrite: coupling a of the soma to the dendrite, in [0, 1], sigma(c_1) of the paper [1].
        dendrite_to_soma: coupling b of the dendrite to the soma, in [0, 1], sigma(c_2) of the paper [1].
        gamma: what a spike subtracts from the dendrite [units of d].
        reset_gradient: "detached" or "attached", for both compartments.

    Source: Zhang et al. 2024, AAAI, arXiv:2308.13250, as its authors coded it (the soma's reset precedes its pull
    on the dendrite); a and b start at 1/2 there and are shared.

    >>> import torch
    >>> from sgbench.surrogates.constant import Constant
    >>> neuron = TcLif(Constant(normalisation="peak1", scale=1.0), soma_to_dendrite=0.5, dendrite_to_soma=0.5,
    ...     gamma=0.5, threshold=1.0, reset_gradient="attached", learn_soma_to_dendrite="none",
    ...     learn_dendrite_to_soma="none", learn_gamma="none", learn_threshold="none")
    >>> current = torch.tensor([[3.0]])
    >>> spikes, state = neuron.step(current, neuron.initial_state(current))  # d = 3, u = 1.5
    >>> spikes, state = neuron.step(torch.zeros(1, 1), state)  # d = 3 - 0.5 - 0.25, u = 0.5 + d / 2
    >>> state.d.item(), state.u.item()
    (2.25, 1.625)
    """

    State: ClassVar[type[Any]] = TcLifState
    # Products of both couplings; sums of couplings, current and resets.
    operations: Operations = Operations(multiplications=2, additions=5, comparisons=1, state_words=2)

    def __init__(  # noqa: PLR0913 - the model has so many
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        soma_to_dendrite: Value,
        dendrite_to_soma: Value,
        gamma: Value,
        threshold: Value,
        reset_gradient: str,
        learn_soma_to_dendrite: str,
        learn_dendrite_to_soma: str,
        learn_gamma: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, "subtract", reset_gradient)
        self.soma_to_dendrite = Decay(
            "soma_to_dendrite", soma_to_dendrite, learn=learn_soma_to_dendrite, features=features
        )
        self.dendrite_to_soma = Decay(
            "dendrite_to_soma", dendrite_to_soma, learn=learn_dendrite_to_soma, features=features
        )
        self.gamma = Number("gamma", gamma, learn=learn_gamma, features=features)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: TcLifState) -> tuple[Tensor, TcLifState]:
        """Advance one step: apply both resets, charge the dendrite, then the soma, fire."""
        threshold, coupling = self.threshold(), self.soma_to_dendrite()
        last = self.next_potential.reset_spikes(state.s)
        d = state.d - coupling * state.u + current + (coupling * threshold - self.gamma()) * last
        u = self.next_potential.around(lambda start: start + self.dendrite_to_soma() * d, state.u, state.s, threshold)
        s = self.surrogate(u - threshold)
        return s, TcLifState(u=u, d=d, s=s)

    def recurrence_spec(self) -> LinearSpec | None:
        """Return both equations as coefficients, for engines that do not call `step`.

        None with a detached reset, as engines always attach the reset of the dendrite.
        """
        if self.next_potential.detached:
            return None
        threshold, coupling = self.threshold(), self.soma_to_dendrite()
        return LinearSpec(
            surrogate=self.surrogate,
            reset="subtract",
            detached=False,
            second="d",
            decay=1.0,
            threshold=threshold,
            coupling=self.dendrite_to_soma(),
            input=0.0,
            second_decay=1.0,
            second_potential=-coupling,
            second_input=1.0,
            second_spike=coupling * threshold - self.gamma(),
        )
