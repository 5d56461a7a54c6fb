"""Escape noise whose function and slope are its own, not the surrogate's."""

from __future__ import annotations

import torch
from torch import Tensor

from sgbench.errors import require_choice, require_number
from sgbench.firing.chance import Chance
from sgbench.surrogates.base import Surrogate

NOISES = ("logistic", "gaussian", "exponential")
LARGEST_EXPONENT = 80.0
"""Beyond it a hazard is certain in either precision, and its exponential would overflow."""


class Escape(Chance):
    r"""Draws a spike with a probability of its own, whatever the surrogate; the surrogate stays what goes backward.

    .. math:: P(s = 1) = \sigma(k u), \quad \Phi(k u) \quad\text{or}\quad 1 - \exp(-e^{k u}), \qquad
        ds/du := \psi(u)

    for logistic, gaussian and exponential noise. So "should the surrogate match the noise?" can be asked, which
    `bernoulli`, whose noise is the surrogate's own curve, cannot. It also fires in evaluation: scores are those of
    one draw for each sample.

    Args:
        noise: "logistic", "gaussian" (of standard deviation 1/k around the threshold) or "exponential" (a hazard
            that grows e-fold over 1/k, 1 a step at threshold).
        noise_slope: k [1/threshold].

    Raises:
        InputError: another noise, or a slope out of range.

    Source: Gerstner & Kistler 2002, Spiking Neuron Models, section 5.3; Gygax & Zenke 2025, Neural Computation
    37(5).

    >>> import torch
    >>> from sgbench.surrogates.constant import Constant
    >>> u, surrogate = torch.tensor([-0.2, 0.0, 0.2]), Constant(normalisation="peak1", scale=1.0)
    >>> Escape(noise="logistic", noise_slope=5.0).probability(u, surrogate)
    tensor([0.2689, 0.5000, 0.7311])
    """

    def __init__(self, *, noise: str, noise_slope: float) -> None:
        self.noise = require_choice("firing.noise", noise, NOISES)
        self.noise_slope = require_number("firing.noise_slope", noise_slope, low=1e-6, high=1e6)

    def probability(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute the probability of a spike, the noise's distribution at k u."""
        scaled = self.noise_slope * u
        if self.noise == "logistic":
            return torch.sigmoid(scaled)
        if self.noise == "gaussian":
            return torch.special.ndtr(scaled)
        return -torch.expm1(-_hazard(scaled))

    def log_probability(self, spikes: Tensor, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute the logarithm of the probability of given spikes, finite far from threshold too."""
        scaled = self.noise_slope * u
        if self.noise == "logistic":
            return torch.nn.functional.logsigmoid(scaled * (2 * spikes - 1))
        if self.noise == "gaussian":
            return torch.special.log_ndtr(scaled * (2 * spikes - 1))
        hazard = _hazard(scaled)
        fires = (-torch.expm1(-hazard)).clamp_min(torch.finfo(u.dtype).tiny).log()
        return torch.where(spikes > 0, fires, -hazard)


def _hazard(scaled: Tensor) -> Tensor:
    """Compute the spikes that exponential noise expects of a step, exp(k u), kept finite."""
    return scaled.clamp_max(LARGEST_EXPONENT).exp()
