"""The exponential current of integrate-and-fire neurons that take off by themselves."""

from __future__ import annotations

import torch
from torch import Tensor

from sgbench.neurons.arguments import require_argument


class Takeoff:
    r"""Computes the current that makes a spike take off.

    .. math:: \Delta e^{(\min(u, \theta) - u_T)/\Delta}

    Beyond the threshold it stays, so that it cannot overflow where a reset leaves the potential above.

    Args:
        sharpness: Delta, over which the spike takes off, above 0 [units of u].
        rheobase: u_T, from which it takes off [units of u].

    Raises:
        InputError: a value out of range.

    Source: Fourcaud-Trocme et al. 2003, Journal of Neuroscience 23.

    >>> takeoff = Takeoff(sharpness=0.5, rheobase=0.0)
    >>> takeoff(torch.tensor([0.0]), 1.0).item(), takeoff(torch.tensor([9.0]), 0.0).item()
    (0.5, 0.5)
    """

    def __init__(self, *, sharpness: float, rheobase: float) -> None:
        self.sharpness = require_argument("sharpness", sharpness)
        self.rheobase = require_argument("rheobase", rheobase)

    def __call__(self, u: Tensor, threshold: Tensor | float) -> Tensor:
        """Compute the exponential current at potentials u [B, N]."""
        below = torch.minimum(u, torch.as_tensor(threshold, dtype=u.dtype, device=u.device))
        return self.sharpness * torch.exp((below - self.rheobase) / self.sharpness)
