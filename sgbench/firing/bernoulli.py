"""Spikes drawn with a probability."""

from typing import ClassVar

from torch import Tensor

from sgbench.firing.base import Chance
from sgbench.surrogates.base import Surrogate


class Bernoulli(Chance):
    r"""Draws a spike with the escape probability F(u), the integral of the surrogate's slope scaled to 0..1.

    .. math:: P(s = 1) = F(u) = \tfrac12 + \frac{\Psi(u) - \Psi(0)}{\int\psi}, \qquad ds/du := \psi(u)

    for u the potential minus the threshold, psi the surrogate's slope and Psi its primitive. Any slope of finite
    area gives an escape function: `sigmoid` the logistic one, `gaussian` the probit.

    Source: Gerstner & Kistler 2002, "Spiking Neuron Models", ch. 5 (escape noise); Ma et al. 2023,
    arXiv:2305.16044; the forward passes of Norse's `logistic_fn` and `circ_dist_fn`.

    >>> import torch
    >>> from sgbench.surrogates.triangle import Triangle
    >>> surrogate = Triangle(slope=1.0, width_fwhm=None, normalisation="peak1", scale=1.0)
    >>> surrogate.escape_probability(torch.tensor([-1.0, 0.0, 0.5, 1.0]))
    tensor([0.0000, 0.5000, 0.8750, 1.0000])
    """

    escapes: ClassVar[bool] = True

    def probability(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        return surrogate.escape_probability(u)

    def primitive(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute F(u), from which a learned steepness gets its gradient, whatever was drawn."""
        return surrogate.escape_probability(u)
