"""Spikes drawn by escape noise that does not depend on the surrogate."""

import torch
from torch import Tensor

from sgbench.errors import require_choice, require_number
from sgbench.firing.base import Chance
from sgbench.surrogates.base import Surrogate

NOISES = ("logistic", "gaussian", "exponential")
LARGEST_EXPONENT = 80.0
"""Largest k u of exponential noise: spikes are certain far below it, and float32 would overflow above 88."""


class Escape(Chance):
    r"""Draws a spike by escape noise with its own distribution; the surrogate gives only the gradient.

    .. math:: P(s = 1) = \sigma(k u), \quad \Phi(k u) \quad\text{or}\quad 1 - \exp(-e^{k u}), \qquad
        ds/du := \psi(u)

    for logistic, gaussian and exponential noise, with u the potential minus the threshold, psi the surrogate's
    slope, sigma the logistic function and Phi the normal distribution function. With `bernoulli` noise and
    surrogate always match; here they may differ. Spikes are drawn in evaluation too: scores are those of one draw
    for each sample.

    Args:
        noise: "logistic", "gaussian" (of standard deviation 1/k around the threshold) or "exponential" (expected
            spikes e^{k u} in a step).
        noise_slope: slope k, 1e-6 to 1e6 [1/units of u].

    Raises:
        InputError: another noise, or a slope out of range.

    Source: Gerstner & Kistler 2002, Spiking Neuron Models, section 5.3; Gygax & Zenke 2025, Neural Computation
    37(5).

    >>> from sgbench.surrogates.constant import Constant
    >>> u, surrogate = torch.tensor([-0.2, 0.0, 0.2]), Constant(normalisation="peak1", scale=1.0)
    >>> Escape(noise="logistic", noise_slope=5.0).probability(u, surrogate)
    tensor([0.2689, 0.5000, 0.7311])
    """

    def __init__(self, *, noise: str, noise_slope: float) -> None:
        self.noise = require_choice("firing.noise", noise, NOISES)
        self.noise_slope = require_number("firing.noise_slope", noise_slope, low=1e-6, high=1e6)

    def probability(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute the probability of a spike, the noise's distribution function at k u; of the shape of u."""
        scaled = self.noise_slope * u
        if self.noise == "logistic":
            return torch.sigmoid(scaled)
        if self.noise == "gaussian":
            return torch.special.ndtr(scaled)
        return -torch.expm1(-_hazard(scaled))

    def log_probability(self, spikes: Tensor, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute the log probability of drawn spikes, 0 or 1, elementwise; finite far from threshold too."""
        scaled = self.noise_slope * u
        if self.noise == "logistic":
            return torch.nn.functional.logsigmoid(scaled * (2 * spikes - 1))
        if self.noise == "gaussian":
            return torch.special.log_ndtr(scaled * (2 * spikes - 1))
        hazard = _hazard(scaled)
        fires = (-torch.expm1(-hazard)).clamp_min(torch.finfo(u.dtype).tiny).log()
        return torch.where(spikes > 0, fires, -hazard)


def _hazard(scaled: Tensor) -> Tensor:
    """Compute exp(k u), the expected spikes in a step under exponential noise, kept finite; scaled is k u."""
    return scaled.clamp_max(LARGEST_EXPONENT).exp()
