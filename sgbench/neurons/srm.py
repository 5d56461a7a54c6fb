"""The spike response model."""

from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from sgbench.neurons.base import Operations, SpikingNeuron
from sgbench.neurons.quantity import Decay, Number, Threshold, Value
from sgbench.surrogates.base import Surrogate


class SrmState(NamedTuple):
    """Holds the state of a `Srm` layer between time steps."""

    i: Tensor  # synaptic current [B, N]
    u: Tensor  # potential without the own spikes [B, N]
    r: Tensor  # refractory trace [B, N]
    s: Tensor  # spikes [B, N]


class Srm(SpikingNeuron):
    r"""Models a spike response neuron (SRM0), which filters its input and its own spikes, and has no reset.

    .. math::
        i[t] &= \alpha i[t-1] + I[t], \qquad u[t] = \beta u[t-1] + i[t] \\
        r[t] &= \rho r[t-1] + \kappa s[t-1], \qquad s[t] = H(u[t] - r[t] - \theta)

    for the synaptic current i, potential u, refractory trace r, input current I and spike s. So u is the input
    filtered by the double exponential kernel :math:`\epsilon[n] = (\alpha^{n+1} - \beta^{n+1}) / (\alpha - \beta)`,
    and r the neuron's own spikes filtered by :math:`\eta[n] = \kappa \rho^{n-1}`. `reset_gradient` decides whether
    gradients flow through r.

    Args:
        rho: decay of the refractory trace per step [1].
        kappa: rise of the refractory trace per spike [units of u].

    Source: Gerstner & Kistler 2002, Spiking Neuron Models, section 4.2.3 (SRM0); snnax `SRM`.

    >>> import torch
    >>> from sgbench.surrogates.constant import Constant
    >>> spike = Constant(normalisation="peak1", scale=1.0)
    >>> neuron = Srm(spike, alpha=0.5, beta=0.25, rho=0.5, kappa=2.0, threshold=1.0, reset_gradient="detached",
    ...     learn_alpha="none", learn_beta="none", learn_rho="none", learn_kappa="none", learn_threshold="none")
    >>> current = torch.full((1, 1), 2.0)
    >>> _, state = neuron.step(current, neuron.initial_state(current))  # u = 2, a spike
    >>> spikes, state = neuron.step(current, state)  # u = 0.5 + 3, r = 2
    >>> state.u.item(), state.r.item(), spikes.item()
    (3.5, 2.0, 1.0)
    """

    State: ClassVar[type[Any]] = SrmState
    # Products of three decays and of kappa with the spike.
    operations: Operations = Operations(multiplications=4, additions=4, comparisons=1, state_words=3)

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        alpha: Value,
        beta: Value,
        rho: Value,
        kappa: Value,
        threshold: Value,
        reset_gradient: str,
        learn_alpha: str,
        learn_beta: str,
        learn_rho: str,
        learn_kappa: str,
        learn_threshold: str,
    ) -> None:
        # u is never reset: spikes act on r, by kappa and rho, and `reset_gradient` cuts or keeps that path.
        super().__init__(surrogate, reset="none", reset_gradient=reset_gradient)
        self.alpha = Decay("alpha", alpha, learn=learn_alpha, features=features)
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        self.rho = Decay("rho", rho, learn=learn_rho, features=features)
        self.kappa = Number("kappa", kappa, learn=learn_kappa, features=features)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def step(self, current: Tensor, state: SrmState) -> tuple[Tensor, SrmState]:
        """Advance one step: filter the input by both decays and the last spikes by the third, fire."""
        i = self.alpha() * state.i + current
        u = self.beta() * state.u + i
        r = self.rho() * state.r + self.kappa() * self.next_potential.reset_spikes(state.s)
        before_spike = SrmState(i=i, u=u, r=r, s=state.s)
        s = self.surrogate(self.centred(before_spike))
        return s, before_spike._replace(s=s)

    @property
    def filters_alike(self) -> bool:
        """Whether all neurons filter alike and no gradient passes their reset: then a convolution serves."""
        return self.next_potential.detached and not any(
            isinstance(decay(), Tensor) for decay in (self.alpha, self.beta)
        )

    def centred(self, state: SrmState) -> Tensor:
        return state.u - state.r - self.threshold()
