"""The exponential current of integrate-and-fire neurons (EIF, AdEx), which starts a spike."""

import torch
from torch import Tensor

from sgbench.neurons.arguments import require_argument


class Takeoff:
    r"""Computes the exponential current that starts a spike, from the membrane potential u.

    .. math:: \Delta e^{(\min(u, \theta) - u_T)/\Delta}

    Beyond the threshold theta it is constant, so that it cannot overflow.

    `sharpness`: Delta, the rise of u that multiplies the current by e, above 0 [units of u]; `rheobase`: u_T, the
    potential at which the current is Delta [units of u].

    Source: Fourcaud-Trocme et al. 2003, Journal of Neuroscience 23.

    >>> takeoff = Takeoff(sharpness=0.5, rheobase=0.0)
    >>> takeoff(torch.tensor([0.0]), 1.0).item(), takeoff(torch.tensor([9.0]), 0.0).item()
    (0.5, 0.5)
    """

    def __init__(self, *, sharpness: float, rheobase: float) -> None:
        self.sharpness = require_argument("sharpness", sharpness)
        self.rheobase = require_argument("rheobase", rheobase)

    def __call__(self, u: Tensor, threshold: Tensor | float) -> Tensor:
        """Compute the exponential current [B, N] at potentials u [B, N], constant above the threshold."""
        below = torch.minimum(u, torch.as_tensor(threshold, dtype=u.dtype, device=u.device))
        return self.sharpness * torch.exp((below - self.rheobase) / self.sharpness)
