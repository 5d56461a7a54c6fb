"""Slopes made of comparisons, kept NaN where the potential is NaN."""

import torch
from torch import Tensor


def nan_where_nan(u: Tensor, slope: Tensor) -> Tensor:
    """Return the slope, but NaN where u is NaN, as comparisons with NaN would give 0 and hide a diverged run.

    >>> u = torch.tensor([0.5, torch.nan])
    >>> nan_where_nan(u, (u > 0).to(u.dtype))
    tensor([1., nan])
    """
    return torch.where(u.isnan(), u, slope)
