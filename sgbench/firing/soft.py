"""The surrogate's integral in place of spikes."""

from typing import ClassVar

from torch import Tensor

from sgbench.firing.base import Firing
from sgbench.firing.curve import curve_slope, require_own_slope
from sgbench.surrogates.base import Output, Surrogate


class Soft(Firing):
    r"""Sends the surrogate's integral, scaled to 0..1, in every step of training and evaluation.

    .. math:: s = F(u) = \tfrac12 + \frac{\Psi(u) - \Psi(0)}{\int\psi}, \qquad
        \frac{ds}{du} = \frac{\psi(u)}{\int\psi}

    for u the potential minus the threshold, psi the surrogate's slope and Psi its primitive. The backward pass uses
    the derivative of F itself. So back-propagation gives the true gradient of the network that is evaluated, if no
    gradient is cut (`neuron.reset_gradient=attached`, `network.recurrence_gradient=full`). For asymmetric slopes
    the half is replaced by the share of the area below threshold. Records of such runs also hold the score of the
    same weights with spikes (`test_hard`), whose difference is the transfer gap.

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
        """Raise an `InputError` unless the area under the surrogate's slope is 1."""
        require_own_slope("firing=soft", surrogate)

    def fire(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Return F(u), the surrogate's integral scaled to 0..1."""
        return surrogate.escape_probability(u)

    def slope(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        return curve_slope(u, surrogate)

    def primitive(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute F(u), the sent value itself, so that a learned steepness gets its true gradient."""
        return surrogate.escape_probability(u)
