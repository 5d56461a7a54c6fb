"""The leaky integrate-and-fire neuron with dendritic branches of different time constants."""

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from sgbench.errors import InputError, require_choice, require_count, require_number
from sgbench.neurons.base import Operations, SpikingNeuron
from sgbench.neurons.quantity import LEARN, Decay, Threshold, Value
from sgbench.surrogates.base import Surrogate

INPUTS = ("split", "all")
INPUT_GAINS = ("one", "one_minus_decay")


class DhLifState(NamedTuple):
    """Holds the state of a `DhLif` layer between time steps."""

    u: Tensor  # membrane potential [B, N], before its reset
    d: Tensor  # currents of the branches [B, K N], those of one branch side by side
    s: Tensor  # spikes [B, N]


class DhLif(SpikingNeuron):
    r"""Models a leaky integrate-and-fire neuron with K dendritic branches, each a leaky integrator of its inputs.

    .. math::
        d_k[t] &= \beta_k d_k[t-1] + g(\beta_k) I_k[t] \\
        u[t] &= \alpha u[t-1] + g(\alpha) \sum_k d_k[t] - \theta s[t-1], \qquad s[t] = H(u[t] - \theta)

    for branch currents d_k, soma potential u, input currents I_k and spikes s, with the reset `subtract`. With
    `inputs=split` the layer draws for every neuron which of its inputs, recurrent ones too, goes to which branch;
    each goes to exactly one, as in the paper. The paper's gains are g(x) = 1 - x; weights then have to be much
    larger than those of a `Leaky` layer, and need a larger learning rate.

    Args:
        branches: number K of branches, and of input currents per neuron.
        inputs: "split" or "all" (every input reaches every branch).
        alpha: decay of the membrane per step, exp(-dt/tau_mem) [1].
        fastest: decay per step of the first branch [1].
        slowest: decay per step of the last branch [1]; the time constants between are spaced geometrically.
        input_gain: g: "one", or "one_minus_decay" (1 - decay) as in the paper.
        learn_branches: "none", "shared" (one decay per branch) or "per_neuron" (one per branch and neuron).

    Raises:
        InputError: a value out of range.

    Source: Zheng et al. 2024, Nature Communications 15:277, as its authors coded it; decays are logits there too
    and start at random, here spread from the fastest to the slowest.

    >>> from sgbench.surrogates.constant import Constant
    >>> neuron = DhLif(Constant(normalisation="peak1", scale=1.0), branches=2, inputs="all", alpha=0.5,
    ...     fastest=0.25, slowest=0.5, input_gain="one_minus_decay", threshold=1.0, reset="subtract",
    ...     reset_gradient="detached", learn_alpha="none", learn_branches="none", learn_threshold="none")
    >>> current = torch.tensor([[4.0, 2.0]])  # d = 3 and 1
    >>> spikes, state = neuron.step(current, neuron.initial_state(current))
    >>> state.u.item(), spikes.item()
    (2.0, 1.0)
    """

    State: ClassVar[type[Any]] = DhLifState

    def __init__(  # noqa: PLR0913 - the model has so many
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        branches: int,
        inputs: str,
        alpha: Value,
        fastest: float,
        slowest: float,
        input_gain: str,
        threshold: Value,
        reset: str,
        reset_gradient: str,
        learn_alpha: str,
        learn_branches: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate, reset, reset_gradient)
        self.currents = require_count("neuron.branches", branches)
        self.splits_inputs = require_choice("neuron.inputs", inputs, INPUTS) == "split"
        self.has_gain = require_choice("neuron.input_gain", input_gain, INPUT_GAINS) == "one_minus_decay"
        self.alpha = Decay("alpha", alpha, learn=learn_alpha, features=features)
        self.branches = _decays(branch_decays(fastest, slowest, branches), learn_branches, features)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)

    def initial_state(self, like: Tensor) -> DhLifState:
        zeros = torch.zeros_like(like.chunk(self.currents, -1)[0])
        return DhLifState(u=zeros, d=torch.zeros_like(like), s=zeros)

    def step(self, current: Tensor, state: DhLifState) -> tuple[Tensor, DhLifState]:
        """Advance one step: charge the branches, then the soma, apply the last spike's reset, fire."""
        beta = torch.as_tensor(self.branches())
        if len(beta) == self.currents:  # one decay per branch, for all neurons
            beta = beta.repeat_interleave(state.u.shape[-1])
        d = beta * state.d + self._gain(beta) * current
        threshold, alpha = self.threshold(), self.alpha()
        arriving = self._gain(alpha) * d.unflatten(-1, (self.currents, -1)).sum(-2)
        u = self.next_potential(state.u, state.s, arriving, alpha, threshold)
        s = self.surrogate(u - threshold)
        return s, DhLifState(u=u, d=d, s=s)

    def _gain(self, decay: Tensor | float) -> Tensor | float:
        """Return the factor g of a current into a leaky integrator with this decay."""
        return 1 - decay if self.has_gain else 1.0

    @property
    def operations(self) -> Operations:
        """Count a neuron's operations per step.

        The K branches and the soma each multiply their state by a decay, and with a gain their input by it. A
        branch adds its input, and is itself added to the soma's input; `next_potential` counts the soma's own
        additions. One comparison decides whether the neuron fires.
        """
        branches = self.currents  # K: one current for each branch
        additions = 2 * branches + self.next_potential.additions
        multiplications = (1 + self.has_gain) * (branches + 1)
        return Operations(multiplications=multiplications, additions=additions, comparisons=1, state_words=1 + branches)


def _decays(values: list[float], learn: str, features: int | None) -> Decay:
    """Make a `Decay` of one value per branch [K], or of one per branch and neuron [K N], branch after branch."""
    per_branch = features if learn == "per_neuron" else 1
    if require_choice("neuron.learn_branches", learn, LEARN) == "per_neuron" and features is None:
        raise InputError("neuron.learn_branches=per_neuron: the number of neurons (features) is needed")
    count = len(values) * (per_branch or 1)
    kind = "none" if learn == "none" else "per_neuron"
    decay = Decay("branches", [values[0], values[-1]], learn=kind, features=count)
    spread = torch.tensor(values, dtype=torch.float64).repeat_interleave(per_branch or 1)
    decay.spread = spread  # replaces the even spread between both values
    if decay.logit is not None:
        decay.logit.data = torch.logit(spread)
    return decay


def branch_decays(fastest: float, slowest: float, branches: int) -> list[float]:
    """Compute one decay per step for each branch, so that the time constants are spaced geometrically.

    >>> [round(decay, 3) for decay in branch_decays(0.25, 0.5, 2)]
    [0.25, 0.5]
    >>> [round(decay, 4) for decay in branch_decays(0.1, 0.9, 3)]
    [0.1, 0.6111, 0.9]
    """
    ends = [
        require_number(f"neuron.{name}", value, low=0, high=1, open_low=True)
        for name, value in (("fastest", fastest), ("slowest", slowest))
    ]
    if not ends[0] <= ends[1] < 1:
        raise InputError(f"neuron.fastest={fastest}, neuron.slowest={slowest}: 0 < fastest <= slowest < 1 is needed")
    rates = -torch.tensor(ends, dtype=torch.float64).log()
    steps = torch.linspace(0, 1, branches, dtype=torch.float64)
    spaced = rates[0] * (rates[1] / rates[0]) ** steps
    return (-spaced).exp().tolist()
