"""The contract of an encoder: values in [0, 1] become input over time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor

from sgbench.errors import require_count, require_number
from sgbench.spikes import Signal


class Encoder(ABC):
    """Turns samples [B, N] in [0, 1] into input [T, B, N].

    Args:
        steps: number of time steps T.
        dt_s: duration of a step [s].
    """

    output: ClassVar[Literal["binary", "real"]]

    def __init__(self, *, steps: int, dt_s: float) -> None:
        self.steps = require_count("encoder.steps", steps)
        self.dt_s = require_number("encoder.dt_s", dt_s, low=0, open_low=True)

    @abstractmethod
    def encode(self, values: Tensor, generator: torch.Generator) -> Signal:
        """Input [T, B, N] of the dtype of `values`, spikes packed; random codes draw sample by sample.

        Drawing sample by sample from `generator` makes the code of a split the same whatever the batch size.
        """
