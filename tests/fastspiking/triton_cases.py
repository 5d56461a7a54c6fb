"""What the tests of the engine triton share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sgbench.networks.base import surrogates
from tests.fastspiking.cases import Result, result, spikes

X = spikes(8, 2, 6)


def both(layers: Any, signal: Tensor = X, **wanted: Any) -> tuple[Result, Result]:
    """Of the engine triton and of the reference, from the same random numbers."""
    chain: Sequence[Any] = layers if isinstance(layers, list) else [layers]
    found = []
    for engine in ("triton", "reference"):
        for place, surrogate in enumerate(surrogates(nn.ModuleList(chain))):
            surrogate.generator = torch.Generator().manual_seed(place)
        with np.errstate(all="ignore"):  # programs say nothing of infinities
            found.append(result(engine, chain, signal, **wanted))
    return found[0], found[1]
