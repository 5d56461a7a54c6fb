"""The leaky neuron over all time steps at once, with resets found by iteration to a fixed point."""

import torch
from torch import Tensor

from sgbench.errors import InputError, require_choice, require_count
from sgbench.neurons.base import Operations
from sgbench.neurons.quantity import Decay, Threshold, Value
from sgbench.neurons.sequence import SequenceNeuron
from sgbench.surrogates.base import Surrogate

RESETS = ("subtract", "subtract_decayed")
RESET_GRADIENTS = ("detached", "attached")


class ParallelLeaky(SequenceNeuron):
    r"""Models a leaky integrate-and-fire neuron over all steps at once, with resets estimated by K iterations.

    .. math:: U[t] = \sum_{k \le t} \beta^{t-k} I[k], \qquad
        s^{(j+1)}[t] = H\Big(U[t] - \theta \sum_{k < t} \beta^{t-k-1} s^{(j)}[k] - \theta\Big), \qquad s^{(-1)} = 0

    for the potential without reset U, input current I and spikes s = s^(K). K = 0 is the leaky neuron without
    reset, which many libraries offer as a parallel neuron. The j-th iteration is exact in the first j + 1 of T
    steps. So from K = T - 1 on spikes are those of `leaky`, and gradients too if the reset is attached. With
    "subtract_decayed" the powers of the reset are t - k.

    Args:
        iterations: K, 0 or more; 3 in the paper.
        reset: "subtract" or "subtract_decayed".

    Raises:
        InputError: a value out of range, or iterations with a surrogate that draws random spikes.

    Source: Feng et al. 2025, ICML, arXiv:2506.12087 (fixed-point parallel training); without reset, snnTorch 1.0
    `StateLeaky`, whose decay per step is exp(-(1 - beta)) and not the beta that it is given (tested). snnTorch's
    `LeakyParallel` is another model: its membrane is a ReLU, which forgets inhibition (tested).

    >>> from sgbench.surrogates.constant import Constant
    >>> neuron = ParallelLeaky(Constant(normalisation="peak1", scale=1.0), beta=0.5, threshold=1.0, iterations=1,
    ...     reset="subtract", reset_gradient="detached", learn_beta="none", learn_threshold="none")
    >>> spikes, x, _ = neuron.unroll(torch.tensor([[[1.5]], [[0.5]], [[0.0]]]))
    >>> (x + 1.0).flatten().tolist()  # U = 1.5, 1.25, 0.625, whose first two are above 1
    [1.5, 0.25, -0.875]
    """

    def __init__(  # noqa: PLR0913 - the model has so many
        self,
        surrogate: Surrogate,
        features: int | None = None,
        *,
        beta: Value,
        threshold: Value,
        iterations: int,
        reset: str,
        reset_gradient: str,
        learn_beta: str,
        learn_threshold: str,
    ) -> None:
        super().__init__(surrogate)
        self.beta = Decay("beta", beta, learn=learn_beta, features=features)
        self.threshold = Threshold(threshold, learn=learn_threshold, features=features)
        self.iterations = require_count("neuron.iterations", iterations, low=0)
        if iterations and surrogate.stochastic:
            instead = "spikes that are not random" if surrogate.firing is None else "firing=step"
            raise InputError(
                f"neuron.iterations={iterations}: random spikes are drawn anew in each of them; "
                f"use {instead} or neuron.iterations=0 and rule=bptt"
            )
        self.reset = require_choice("neuron.reset", reset, RESETS)
        self.detached = require_choice("neuron.reset_gradient", reset_gradient, RESET_GRADIENTS) == "detached"

    def potential(self, current: Tensor) -> Tensor:
        """Compute potential minus threshold [T, B, N] from currents [T, B, N].

        Each iteration subtracts the resets of the spikes that the iteration before found.
        """
        beta, threshold = self.beta(), self.threshold()
        without_reset = leaky_integral(current, beta)
        x = without_reset - threshold
        per_spike = threshold * beta if self.reset == "subtract_decayed" else threshold
        for _ in range(self.iterations):
            s = self.fire(x)
            s = s.detach() if self.detached else s
            last_spikes = torch.cat([torch.zeros_like(s[:1]), s[:-1]])
            x = without_reset - per_spike * leaky_integral(last_spikes, beta) - threshold
        return x

    @property
    def operations(self) -> Operations:
        """Count a leaky integral and a comparison without reset, and again for each iteration, which adds the reset."""
        rounds, sums = 1 + self.iterations, 1 + 2 * self.iterations
        return Operations(multiplications=sums, additions=sums, comparisons=rounds, state_words=rounds)


def leaky_integral(sequence: Tensor, decay: Tensor | float) -> Tensor:
    r"""Compute a leaky integral over time, :math:`\sum_{k \le t} \beta^{t-k} x_k`, in about log2 T sums.

    `sequence`: x [T, ...]. `decay`: beta per step, a number or one per neuron [N].

    Returns:
        The integral at every step t [T, ...].

    >>> leaky_integral(torch.tensor([1.0, 1.0, 0.0]), 0.5).tolist()
    [1.0, 1.5, 0.75]
    """
    reach = 1
    while reach < len(sequence):
        earlier = torch.cat([torch.zeros_like(sequence[:reach]), sequence[:-reach]])
        sequence = sequence + decay * earlier
        decay = decay * decay
        reach *= 2
    return sequence
