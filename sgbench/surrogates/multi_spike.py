"""Several spikes per step, with a fast sigmoid's slope at each threshold."""

import math

import torch
from torch import Tensor

from sgbench.errors import require_count, require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Output, Surrogate

KINKY_LEVELS = 101  # levels whose kinks `shape_kinks` lists


class MultiSpike(Surrogate):
    r"""Sends one more spike at every whole threshold above the first, each with the slope of a fast sigmoid.

    .. math:: s = \mathrm{clip}(\mathrm{round}(u + \tfrac12), 0, n), \quad
              \mathrm{shape} = \frac{1}{(1 + k|u - \max(0, \mathrm{round}\,u)|)^2}

    for the potential minus the threshold u, in units of a threshold of 1. The slope repeats beyond the n-th spike,
    as in stork.

    Args:
        slope: steepness k [1/threshold units].
        levels: n, largest number of spikes in a step.
        normalisation: see `Surrogate`; the peak is 1, the area infinite.

    Source: stork (fmi-basel) 258a2d6, `MultiSpike`.

    >>> surrogate = MultiSpike(slope=10.0, levels=10, normalisation="raw", scale=1.0)
    >>> surrogate(torch.tensor([-0.2, 0.2, 1.2])).tolist()
    [0.0, 1.0, 2.0]
    >>> surrogate.derivative(torch.tensor([0.0, 1.1, 2.0]))
    tensor([1.0000, 0.2500, 1.0000])
    """

    output: Output = "integer"
    shape_peak: float = 1.0  # at every whole threshold
    shape_area: float = math.inf  # the slope repeats
    # Maxima of the slope and minima between them, for the first hundred spikes.
    shape_kinks: tuple[float, ...] = tuple(count / 2 for count in range(2 * KINKY_LEVELS))

    def __init__(self, *, slope: float, levels: int, normalisation: str, scale: float) -> None:
        self.steepness = require_number("surrogate.slope", slope, low=SMALLEST, high=LARGEST)
        self.levels = require_count("surrogate.levels", levels)
        super().__init__(normalisation=normalisation, scale=scale)

    def fire(self, u: Tensor) -> Tensor:
        return torch.round(u + 0.5).clamp(0, self.levels)

    def shape(self, u: Tensor) -> Tensor:
        nearest = torch.relu(torch.round(u.detach()))
        return (1 + self.steepness * (u - nearest).abs()).pow(-2)

    @property
    def shape_fwhm(self) -> float | None:
        """Return the full width at half maximum of the slope's lobe at u = 0, or None if lobes overlap."""
        width = 2 * (2**0.5 - 1) / self.steepness
        return width if width <= 1 else None
