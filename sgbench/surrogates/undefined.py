"""Slopes made of comparisons, which are as undefined as the potential that they are taken at."""

from __future__ import annotations

import torch
from torch import Tensor


def nan_where_nan(u: Tensor, slope: Tensor) -> Tensor:
    """Return the slope, but NaN where u is: a comparison would answer false there and hide a run gone wrong.

    >>> u = torch.tensor([0.5, torch.nan])
    >>> nan_where_nan(u, (u > 0).to(u.dtype))
    tensor([1., nan])
    """
    return torch.where(u.isnan(), u, slope)
