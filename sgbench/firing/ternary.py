"""Spikes of both signs."""

from typing import ClassVar

from torch import Tensor

from sgbench.errors import require_number
from sgbench.firing.base import Firing
from sgbench.surrogates.base import Output, Surrogate


class Ternary(Firing):
    r"""Sends a spike of 1 above threshold and of -1 below minus the threshold.

    .. math:: s = H(u) - H(-u - 2\theta), \qquad ds/du = \psi(u) + \psi(-u - 2\theta)

    for :math:`u = v - \theta`, the potential v minus the threshold, and psi the surrogate's slope, which acts at
    both thresholds.

    Args:
        threshold: theta, equal to the neuron's threshold [units of v].

    Raises:
        InputError: a threshold out of [1e-6, 1e6].

    Source: Guo et al. 2024, AAAI, "Ternary Spike"; the forward pass of snntorch_ternary 0.1.3.

    >>> import torch
    >>> from sgbench.surrogates.constant import Constant
    >>> surrogate = Constant(normalisation="peak1", scale=1.0)
    >>> Ternary(threshold=1.0).fire(torch.tensor([-2.5, -2.0, 0.0, 0.5]), surrogate)
    tensor([-1.,  0.,  0.,  1.])
    """

    output: ClassVar[Output] = "signed"

    def __init__(self, *, threshold: float) -> None:
        self.threshold = require_number("firing.threshold", threshold, low=1e-6, high=1e6)

    def fire(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Return 1 above the threshold, -1 below its negative and 0 between, from u = v - theta."""
        return (u > 0).to(u.dtype) - (u < -2 * self.threshold).to(u.dtype)

    def slope(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute the sum of the slopes at both thresholds, psi(u) + psi(-u - 2 theta)."""
        return surrogate.derivative(u) + surrogate.derivative(-u - 2 * self.threshold)

    def primitive(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute an integral of `slope`, Psi(u) - Psi(-u - 2 theta), with the surrogate's primitive Psi."""
        return surrogate.primitive(u) - surrogate.primitive(-u - 2 * self.threshold)
