"""Gaussian slopes with negative lobes."""

import math
from abc import abstractmethod
from typing import ClassVar

from sgbench.errors import require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Surrogate

WIDEST = 100.0  # largest spread; wider Gaussians are almost constant


class LobedSurrogate(Surrogate):
    """Subtracts wide normal densities of total weight 2h from one of weight 1 + h; the raw area is 1 - h.

    `sigma`: standard deviation of the middle Gaussian [threshold units]. `height`: weight h, 0 to 1; above 1 the area
    would be negative. `spread`: width of the wide Gaussians in sigmas, from 1 to 100.
    """

    raw_keeps_area: ClassVar[bool] = True

    def __init__(self, *, sigma: float, height: float, spread: float, normalisation: str, scale: float) -> None:
        self.sigma = require_number("surrogate.sigma", sigma, low=SMALLEST, high=LARGEST)
        self.height = require_number("surrogate.height", height, low=0, high=1)
        self.spread = require_number("surrogate.spread", spread, low=1, high=WIDEST)
        self.half_width = self._half_width()
        super().__init__(normalisation=normalisation, scale=scale)

    @abstractmethod
    def form(self, z: float) -> float:
        """Compute sigma sqrt(2 pi) times the slope at u = z sigma."""

    def _half_width(self) -> float:
        """Find by bisection the distance at which the middle lobe falls to half of its peak [sigmas]."""
        low, high = 0.0, 4.0
        while low < (middle := (low + high) / 2) < high:
            low, high = (middle, high) if self.form(middle) > self.form(0.0) / 2 else (low, middle)
        return low

    @property
    def shape_peak(self) -> float:
        return self.form(0.0) / (self.sigma * math.sqrt(2 * math.pi))

    @property
    def shape_area(self) -> float:
        return 1 - self.height

    @property
    def shape_fwhm(self) -> float:
        return 2 * self.half_width * self.sigma
