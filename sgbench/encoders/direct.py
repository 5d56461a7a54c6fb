"""The direct encoder: real-valued input, the same value in every step or the trace itself."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from sgbench.encoders.base import Encoder, Form, over_time
from sgbench.errors import require_number


class Direct(Encoder):
    """Passes on values as constant input, or traces as they are; the first layer multiplies and makes the spikes.

    Args:
        gain: factor on the values.

    Source: Rueckauer et al. 2017, Frontiers in Neuroscience 11:682 (analogue input currents).

    >>> encoder = Direct(steps=2, dt_s=0.001, gain=0.5)
    >>> encoder.encode(torch.tensor([[1.0]]), torch.Generator()).flatten().tolist()
    [0.5, 0.5]
    """

    output: ClassVar[Literal["binary", "real"]] = "real"
    takes: ClassVar[tuple[Form, ...]] = ("values", "traces")

    def __init__(self, *, steps: int, dt_s: float, gain: float) -> None:
        super().__init__(steps=steps, dt_s=dt_s)
        self.gain = require_number("encoder.gain", gain)

    def encode(self, values: Tensor, generator: torch.Generator) -> Tensor:
        """Return values [B, N] in every step, or traces [B, steps, N], times the gain [T, B, N]."""
        return over_time(self.gain * values, self.steps).transpose(0, 1).contiguous()
