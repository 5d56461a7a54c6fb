"""The population encoder: a value becomes the spike times of neurons with overlapping receptive fields."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from fastspiking.signals.spikes import SparseSpikes
from sgbench.encoders.base import Encoder, packed
from sgbench.errors import require_count, require_number


class Population(Encoder):
    r"""Encodes a value x by K neurons with Gaussian receptive fields g_k; neurons nearer to it spike earlier.

    .. math:: g_k(x) = e^{-(x - c_k)^2 / 2 \sigma^2}, \quad c_k = \frac{k - 1/2}{K - 2}, \quad
       \sigma = \frac{1}{\beta (K - 2)}, \quad t_k = t_\mathrm{last} (1 - g_k)

    with k = 0..K - 1 and the centres c_k, of which the outer two lie outside [0, 1]. A neuron whose response g_k is
    below `cutoff` does not spike. Channel n K + k is neuron k of value n.

    Args:
        neurons: K, number of neurons for each value, at least 3.
        beta: sharpness of the receptive fields; larger values make them narrower.
        last_s: t_last, spike time of the response 0 [s].
        cutoff: smallest response with a spike, in [0, 1].

    Source: Bohte, Kok & La Poutré 2002, Neurocomputing 48 (beta = 1.5, silent in the last tenth).

    >>> encoder = Population(steps=11, dt_s=0.001, neurons=4, beta=1.5, last_s=0.01, cutoff=0.1)
    >>> spikes = encoder.encode(torch.tensor([[0.25]]), torch.Generator()).dense()[:, 0]
    >>> spikes.argmax(0).tolist(), spikes.sum(0).tolist()
    ([6, 0, 6, 0], [1.0, 1.0, 1.0, 0.0])
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"

    def __init__(self, *, steps: int, dt_s: float, neurons: int, beta: float, last_s: float, cutoff: float) -> None:
        super().__init__(steps=steps, dt_s=dt_s)
        self.neurons = require_count("encoder.neurons", neurons, low=3)
        self.beta = require_number("encoder.beta", beta, low=0, open_low=True)
        self.last_s = require_number("encoder.last_s", last_s, low=0)
        self.cutoff = require_number("encoder.cutoff", cutoff, low=0, high=1)

    def responses(self, values: Tensor) -> Tensor:
        """Compute the response g in [0, 1] of each neuron to its value [B, N, K]."""
        centres = (torch.arange(self.neurons, dtype=values.dtype, device=values.device) - 0.5) / (self.neurons - 2)
        width = 1 / (self.beta * (self.neurons - 2))
        return torch.exp(-((values[..., None] - centres) / width).square() / 2)

    def encode(self, values: Tensor, generator: torch.Generator) -> SparseSpikes:
        """Encode values [B, N] as at most one spike a neuron [T, B, N K]."""
        response = self.responses(values).flatten(1)
        step = torch.floor((1 - response) * (self.last_s / self.dt_s))
        return packed(step, response >= self.cutoff, self.steps, values.dtype)

    def channels(self, n_inputs: int) -> int:
        return n_inputs * self.neurons
