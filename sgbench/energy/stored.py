"""How many numbers a layer keeps for its connections, and how many of them are 0."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn


class Stored(NamedTuple):
    """Numbers of one group of connections."""

    numbers: int
    zeros: int


def stored(layer: nn.Module, name: str) -> Stored:
    """Of a layer's "weight" or "recurrent" parameter; where a mask cuts connections, those are not stored."""
    weight = getattr(layer, name)
    mask = getattr(layer, "mask" if name == "weight" else f"{name}_mask", None)
    kept = weight.numel() if mask is None else int(torch.count_nonzero(mask))
    used = weight if mask is None else weight * mask
    return Stored(kept, kept - int(torch.count_nonzero(used)))
