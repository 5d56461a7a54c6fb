"""The parallel spiking neurons: potentials are weighted sums of currents over time, without a reset."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sgbench.errors import InputError, require_choice, require_count, require_number
from sgbench.neurons.base import Operations
from sgbench.neurons.sequence import SequenceNeuron, decay_matrix, mix_steps, require_steps
from sgbench.surrogates.base import Surrogate

STARTS = ("leaky", "uniform")


class Psn(SequenceNeuron):
    r"""Models a parallel spiking neuron: currents of all steps, weighted by a learnt matrix, against a threshold.

    .. math:: u[t] = \sum_{k=1}^{T} W_{tk} I[k], \qquad s[t] = H(u[t] - \theta_t)

    for the potential u, input current I and spike s. W and the threshold theta_t of each step are learnt; all
    neurons of a layer share them. There is no reset. W is full: a step sees the currents of later steps, so the
    number of steps is fixed and the model is not causal.

    Args:
        steps: number T of time steps.
        threshold: initial theta_t of every step [units of u].
        beta: decay per step of the leaky integrator that W is initialised as [1].
        start: "leaky" (:math:`\beta^{t-k}` for k <= t, else 0) or "uniform" (within :math:`1/\sqrt{T}`, as in the
            paper).

    Raises:
        InputError: a value out of range, or a sequence of another length.

    Source: Fang et al. 2023, NeurIPS, arXiv:2304.12760, equation 6; equal to SpikingJelly 2.0.0 `PSN` (tested).

    >>> from sgbench.surrogates.constant import Constant
    >>> neuron = Psn(Constant(normalisation="peak1", scale=1.0), steps=3, threshold=1.0, beta=0.5, start="leaky")
    >>> spikes, x, _ = neuron.unroll(torch.tensor([[[1.0]], [[1.0]], [[0.0]]], dtype=torch.float64))
    >>> x.flatten().tolist(), spikes.flatten().tolist()
    ([0.0, 0.5, -0.25], [0.0, 1.0, 0.0])
    """

    def __init__(
        self,
        surrogate: Surrogate,
        generator: torch.Generator | None = None,
        *,
        steps: int,
        threshold: float,
        beta: float,
        start: str,
    ) -> None:
        super().__init__(surrogate)
        self.steps = require_count("neuron.steps", steps)
        theta = require_number("neuron.threshold", threshold)
        self.threshold = nn.Parameter(torch.full((steps,), theta, dtype=torch.float64))
        self.weight = nn.Parameter(_initial_weights((steps, steps), beta, start, generator))

    def matrix(self) -> Tensor:
        """Return the weights in use [T, T]: row t weighs the currents that enter u[t]."""
        return self.weight

    def potential(self, current: Tensor) -> Tensor:
        require_steps(self.steps, current)
        return mix_steps(self.matrix(), current) - self.threshold[:, None, None]

    @property
    def operations(self) -> Operations:
        return Operations(multiplications=self.steps, additions=self.steps - 1, comparisons=1, state_words=self.steps)


class MaskedPsn(Psn):
    r"""Models a parallel spiking neuron that sees the last k_0 steps, softly at first if wanted.

    .. math:: u[t] = \sum_k M_{tk} W_{tk} I[k], \qquad
        M_{tk} = \lambda \, [t - k_0 < k \le t] + (1 - \lambda)

    with W, theta and s as in `Psn`, and [...] = 1 where the condition holds, else 0. At lambda = 1 the neuron is
    causal; below, all other steps enter with weight 1 - lambda. Over training lambda moves linearly from its first
    to its last value; the paper begins at 0 to ease the first epochs.

    Args:
        steps: number T of time steps.
        order: k_0, number of last steps whose currents count.
        mask: lambda in [0, 1] at the first and the last epoch, a pair.
        threshold: initial theta_t of every step [units of u].
        beta: decay per step of the leaky integrator that W is initialised as [1].
        start: "leaky" or "uniform"; see `Psn`.

    Raises:
        InputError: a value out of range, or a sequence of another length.

    Source: Fang et al. 2023, NeurIPS, arXiv:2304.12760, equations 8 and 9; equal to SpikingJelly 2.0.0 `MaskedPSN`
    (tested).

    >>> from sgbench.surrogates.constant import Constant
    >>> neuron = MaskedPsn(Constant(normalisation="peak1", scale=1.0), steps=3, order=2, mask=[1.0, 1.0],
    ...                    threshold=1.0, beta=0.5, start="leaky")
    >>> neuron.matrix().tolist()
    [[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.0, 0.5, 1.0]]
    """

    band: Tensor

    def __init__(
        self,
        surrogate: Surrogate,
        generator: torch.Generator | None = None,
        *,
        steps: int,
        order: int,
        mask: Sequence[float],
        threshold: float,
        beta: float,
        start: str,
    ) -> None:
        super().__init__(surrogate, generator, steps=steps, threshold=threshold, beta=beta, start=start)
        self.order = require_count("neuron.order", order)
        if isinstance(mask, str) or not isinstance(mask, Sequence) or len(mask) != 2:  # noqa: PLR2004 - a pair
            raise InputError(f"neuron.mask={mask!r}: two numbers such as [0.0, 1.0] are needed")
        self.shares = [require_number("neuron.mask", share, low=0, high=1) for share in mask]
        band = torch.ones(steps, steps, dtype=torch.float64).tril().triu(1 - order)
        self.register_buffer("band", band, persistent=False)
        self.advance(0.0)

    def advance(self, progress: float) -> None:
        """Move lambda from its first to its last value; progress is the share of training done, in [0, 1]."""
        first, last = self.shares
        self.share = first + (last - first) * progress

    def matrix(self) -> Tensor:
        """Return the masked weights M W [T, T], an elementwise product."""
        return (self.share * self.band + (1 - self.share)) * self.weight

    @property
    def operations(self) -> Operations:
        counted = min(self.order, self.steps) if self.share == 1 else self.steps
        return Operations(multiplications=counted, additions=counted - 1, comparisons=1, state_words=counted)


class SlidingPsn(SequenceNeuron):
    r"""Models a parallel spiking neuron with the same few weights at every step.

    .. math:: u[t] = \sum_{j=0}^{k_0-1} W_j I[t - j], \qquad s[t] = H(u[t] - \theta)

    for the potential u, input current I and spike s: a learnt filter before a threshold. Currents before the first
    step are 0. Sequences may have any length.

    Args:
        order: k_0, number of last steps whose currents count.
        threshold: initial theta [units of u].
        beta: decay per step of the leaky integrator that W is initialised as [1]; 0.5 in the paper.
        start: "leaky" (:math:`W_j = \beta^j`) or "uniform" (within :math:`1/\sqrt{k_0}`).

    Raises:
        InputError: a value out of range.

    Source: Fang et al. 2023, NeurIPS, arXiv:2304.12760, equation 10; equal to SpikingJelly 2.0.0 `SlidingPSN`
    (tested), whose weights lie in the order of time, W_0 last.

    >>> from sgbench.surrogates.constant import Constant
    >>> neuron = SlidingPsn(Constant(normalisation="peak1", scale=1.0), order=2, threshold=1.0, beta=0.5,
    ...                     start="leaky")
    >>> spikes, x, _ = neuron.unroll(torch.tensor([[[1.0]], [[1.0]], [[0.0]]], dtype=torch.float64))
    >>> x.flatten().tolist(), spikes.flatten().tolist()
    ([0.0, 0.5, -0.5], [0.0, 1.0, 0.0])
    """

    def __init__(
        self,
        surrogate: Surrogate,
        generator: torch.Generator | None = None,
        *,
        order: int,
        threshold: float,
        beta: float,
        start: str,
    ) -> None:
        super().__init__(surrogate)
        self.order = require_count("neuron.order", order)
        theta = require_number("neuron.threshold", threshold)
        self.threshold = nn.Parameter(torch.tensor(theta, dtype=torch.float64))
        self.weight = nn.Parameter(_initial_weights((order,), beta, start, generator))

    def potential(self, current: Tensor) -> Tensor:
        """Compute potential minus threshold [T, B, N] of all steps from the currents [T, B, N]."""
        time = torch.arange(len(current), device=current.device)
        lag = time[:, None] - time
        counts = (lag >= 0) & (lag < self.order)
        matrix = torch.where(counts, self.weight[lag.clamp(0, self.order - 1)], 0.0)  # W_j on the j-th diagonal
        return mix_steps(matrix, current) - self.threshold

    @property
    def operations(self) -> Operations:
        return Operations(multiplications=self.order, additions=self.order - 1, comparisons=1, state_words=self.order)


def _initial_weights(shape: tuple[int, ...], beta: float, start: str, generator: torch.Generator | None) -> Tensor:
    """Return the weights before training, in float64."""
    decay = require_number("neuron.beta", beta, low=0, high=1)
    if require_choice("neuron.start", start, STARTS) == "leaky":
        matrix = decay_matrix(decay, shape[-1])
        return matrix if len(shape) > 1 else matrix[:, 0].clone()
    if generator is None:
        raise InputError("neuron.start=uniform: a generator is needed; use neuron.start=leaky")
    return (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1) * shape[-1] ** -0.5
