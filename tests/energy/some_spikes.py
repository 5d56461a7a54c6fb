"""Spikes to count in torch's layers, and how many random examples are enough."""

from __future__ import annotations

import torch
from hypothesis import settings
from torch import Tensor

few = settings(max_examples=15)


def spikes(*shape: int, seed: int = 0, rate: float = 0.4) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate).float()
