"""The value itself, in every step."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from sgbench.encoders.base import Encoder
from sgbench.errors import require_number


class Direct(Encoder):
    """Constant input: the first layer turns values into spikes and needs multiplications for it.

    Args:
        steps: number of time steps T.
        dt_s: duration of a step [s].
        gain: factor on the values.

    Source: Rueckauer et al. 2017, Frontiers in Neuroscience 11:682 (analogue input currents).

    >>> encoder = Direct(steps=2, dt_s=0.001, gain=0.5)
    >>> encoder.encode(torch.tensor([[1.0]]), torch.Generator()).flatten().tolist()
    [0.5, 0.5]
    """

    output: ClassVar[Literal["binary", "real"]] = "real"

    def __init__(self, *, steps: int, dt_s: float, gain: float) -> None:
        super().__init__(steps=steps, dt_s=dt_s)
        self.gain = require_number("encoder.gain", gain)

    def encode(self, values: Tensor, generator: torch.Generator) -> Tensor:
        """Currents [T, B, N]."""
        return (self.gain * values).unsqueeze(0).expand(self.steps, *values.shape).contiguous()
