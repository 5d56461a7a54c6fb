"""How many numbers a layer keeps for its connections, and how many of them are 0."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn


class StoredWeights(NamedTuple):
    """Holds numbers of one group of connections."""

    numbers: int
    zeros: int


def stored(layer: nn.Module, name: str) -> StoredWeights:
    """Describe a layer's "weight" or "recurrent" as stored; connections that a mask cuts are not stored."""
    weight = getattr(layer, name)
    mask = getattr(layer, "mask" if name == "weight" else f"{name}_mask", None)
    connections = weight.numel() if mask is None else int(torch.count_nonzero(mask))
    used = weight if mask is None else weight * mask
    return StoredWeights(connections, connections - int(torch.count_nonzero(used)))
