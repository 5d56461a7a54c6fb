"""Separate streams of random numbers, all derived from a run's one seed."""

from __future__ import annotations

import hashlib
from typing import Literal

import torch

Stream = Literal[
    "data_order", "encoding", "initialisation", "noise", "dropout", "augmentation", "diagnosis", "robustness"
]


def generator(seed: int, stream: Stream, *parts: int | str) -> torch.Generator:
    """Make a fresh generator for one purpose; streams and parts (an epoch, a split) do not overlap.

    A new stream never shifts another one, and a continued run draws what an undisturbed one would have drawn.

    >>> first = torch.rand(1, generator=generator(3, "noise", 0))
    >>> bool(first == torch.rand(1, generator=generator(3, "noise", 0)))
    True
    """
    text = "/".join(["sgbench", str(seed), stream, *(str(part) for part in parts)])
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
    return torch.Generator().manual_seed(number)
