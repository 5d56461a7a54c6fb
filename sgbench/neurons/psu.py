"""The parallel spiking unit, which estimates its resets from the potential without reset."""

import torch
from torch import Tensor, nn

from sgbench.errors import require_choice, require_count, require_number
from sgbench.neurons.base import Operations
from sgbench.neurons.sequence import SequenceNeuron, decay_matrix, mix_steps, require_steps
from sgbench.surrogates.base import Surrogate

LEARNT = ("none", "integration", "reset", "both")
ESTIMATES = ("sigmoid", "linear")


class Psu(SequenceNeuron):
    r"""Models a parallel spiking unit: leaky integration and an estimated reset, both as products over time.

    .. math:: d[t] = \sum_{k \le t} A_{tk} I[k], \qquad u[t] = d[t] - \theta \sum_{k < t} R_{tk} p(d[k]),
        \qquad s[t] = H(u[t] - \theta)

    for the potential u, the potential without reset d, input current I and spike s. p(d) estimates how likely the
    neuron has fired, so that all steps are computed at once. Both matrices start as those of a leaky neuron,
    :math:`A = \beta^{t-k}` and :math:`R = \beta^{t-k-1}`, and stay causal.

    Args:
        steps: number T of time steps.
        beta: decay per step of both matrices at the start, exp(-dt/tau_mem) [1].
        threshold: theta, above 0 [units of u].
        estimate: p, "sigmoid" or "linear" (p(d) = d).
        learn: "none" (PSU), "integration" (A; input-aware, IPSU), "reset" (R; reset-aware, RPSU) or "both".

    Raises:
        InputError: a value out of range, or a sequence of another length.

    Source: Li et al. 2024, arXiv:2402.00449; the sigmoid as in BrainCog's PSU, the linear estimate as restated by
    Feng et al. 2025, arXiv:2506.12087. Start and choice of what is learnt are ours.

    >>> from sgbench.surrogates.constant import Constant
    >>> neuron = Psu(Constant(normalisation="peak1", scale=1.0), steps=3, beta=0.5, threshold=1.0,
    ...              estimate="linear", learn="none")
    >>> spikes, x, _ = neuron.unroll(torch.tensor([[[1.5]], [[1.0]], [[0.0]]], dtype=torch.float64))
    >>> x.flatten().tolist()  # d = 1.5, 1.75, 0.875; less 0, 1.5, 0.75 + 1.75; less 1
    [0.5, -0.75, -2.625]
    """

    integration: Tensor
    reset: Tensor

    def __init__(
        self, surrogate: Surrogate, *, steps: int, beta: float, threshold: float, estimate: str, learn: str
    ) -> None:
        super().__init__(surrogate)
        self.steps = require_count("neuron.steps", steps)
        self.threshold = require_number("neuron.threshold", threshold, low=0, open_low=True)
        self.estimate = require_choice("neuron.estimate", estimate, ESTIMATES)
        learnt = require_choice("neuron.learn", learn, LEARNT)
        integration = decay_matrix(require_number("neuron.beta", beta, low=0, high=1), steps)
        reset = torch.zeros_like(integration)
        reset[1:] = integration[:-1]
        for name, matrix in (("integration", integration), ("reset", reset)):
            if learnt in (name, "both"):
                self.register_parameter(name, nn.Parameter(matrix))
            else:
                self.register_buffer(name, matrix, persistent=False)

    def potential(self, current: Tensor) -> Tensor:
        """Compute potential minus threshold [T, B, N] of all steps from the currents [T, B, N]."""
        require_steps(self.steps, current)
        d = mix_steps(self.integration.tril(), current)
        p = d.sigmoid() if self.estimate == "sigmoid" else d
        return d - self.threshold * mix_steps(self.reset.tril(-1), p) - self.threshold

    @property
    def operations(self) -> Operations:
        """Count two weighted sums over the steps, the reset's product and, if it is used, the sigmoid."""
        functions = int(self.estimate == "sigmoid")
        return Operations(self.steps + 1, self.steps, comparisons=1, state_words=2 * self.steps, functions=functions)
