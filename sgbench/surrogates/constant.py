"""The straight-through estimator."""

import math

import torch
from torch import Tensor

from sgbench.surrogates.base import Surrogate, nan_where_nan


class Constant(Surrogate):
    """Uses slope 1 everywhere: the straight-through estimator, a control that does not depend on the potential.

    Args:
        normalisation: see `Surrogate`; the peak is 1, the area infinite.

    Source: Bengio et al. 2013, arXiv:1308.3432; as a control, Zenke & Vogels 2021, Fig. 3c; snnTorch
    `straight_through_estimator`, equal to it (tested).

    >>> Constant(normalisation="peak1", scale=1.0).derivative(torch.tensor([-9.0, 0.0]))
    tensor([1., 1.])
    """

    shape_peak: float = 1.0  # everywhere
    shape_area: float = math.inf
    shape_fwhm: None = None  # it never falls to a half

    def shape(self, u: Tensor) -> Tensor:
        return nan_where_nan(u, torch.ones_like(u))

    def shape_integral(self, u: Tensor) -> Tensor:
        return u
