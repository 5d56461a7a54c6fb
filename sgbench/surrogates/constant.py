"""The straight-through estimator."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sgbench.surrogates.base import Surrogate
from sgbench.surrogates.undefined import nan_where_nan


class Constant(Surrogate):
    """Slope 1 everywhere: the straight-through estimator, a control that ignores the membrane potential.

    Args:
        normalisation: see `Surrogate`; the peak is 1, the area infinite.
        scale: see `Surrogate`.

    Source: Bengio et al. 2013, arXiv:1308.3432; as a control, Zenke & Vogels 2021, Fig. 3c; snnTorch
    `straight_through_estimator`, equal to it (tested).

    >>> Constant(normalisation="peak1", scale=1.0).derivative(torch.tensor([-9.0, 0.0]))
    tensor([1., 1.])
    """

    def shape(self, u: Tensor) -> Tensor:
        """1."""
        return nan_where_nan(u, torch.ones_like(u))

    def shape_integral(self, u: Tensor) -> Tensor:
        """Return the input itself."""
        return u

    @property
    def shape_peak(self) -> float:
        """1, everywhere."""
        return 1.0

    @property
    def shape_area(self) -> float:
        """Infinite."""
        return math.inf

    @property
    def shape_fwhm(self) -> None:
        """There is none: the slope never falls to a half."""
        return
