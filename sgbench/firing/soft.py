"""The smooth curve behind the surrogate in place of spikes."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from sgbench.firing.base import Firing
from sgbench.firing.curve import curve_slope, require_own_slope
from sgbench.surrogates.base import Output, Surrogate


class Soft(Firing):
    r"""Sends a graded value in every step, in training and evaluation: the surrogate's primitive from 0 to 1.

    .. math:: s = F(u) = \tfrac12 + \frac{\Psi(u) - \Psi(0)}{\int\psi}, \qquad
        \frac{ds}{du} = \frac{\psi(u)}{\int\psi}

    The slope is the curve's own, so that back-propagation gives the true gradient of the network that is
    evaluated, where nothing is cut from it (`neuron.reset_gradient=attached`, `network.recurrence_gradient=full`).
    For bells that are not symmetric the half is the share of the area below threshold. Records of such runs also
    hold what the same weights score with spikes (`test_hard`), the transfer gap.

    Source: Neftci, Mostafa & Zenke 2019, section III (smoothed networks); Huh & Sejnowski 2018, NeurIPS 31.

    >>> import torch
    >>> from sgbench.surrogates.triangle import Triangle
    >>> surrogate = Triangle(slope=0.5, width_fwhm=None, normalisation="area1", scale=1.0)
    >>> Soft().begin(surrogate)
    >>> u = torch.tensor([-1.0, 0.0, 1.0], requires_grad=True)
    >>> surrogate(u).tolist()
    [0.125, 0.5, 0.875]
    """

    output: ClassVar[Output] = "real"
    escapes: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    def check(self, surrogate: Surrogate) -> None:
        """Refuse a surrogate whose slope is not that of the curve from 0 to 1 that is sent."""
        require_own_slope("firing=soft", surrogate)

    def fire(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Send F(u), the surrogate's primitive from 0 to 1."""
        return surrogate.escape_probability(u)

    def slope(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute the derivative of F, the curve that is sent."""
        return curve_slope(u, surrogate)

    def primitive(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute F(u), which is sent itself, so that a steepness learns by its true gradient."""
        return surrogate.escape_probability(u)
