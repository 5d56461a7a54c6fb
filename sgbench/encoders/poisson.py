"""The Poisson encoder: spikes of a Poisson process whose rate is proportional to the value."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from fastspiking.signals.spikes import SparseSpikes
from sgbench.encoders.base import Encoder, Form, drawn
from sgbench.errors import require_number


class Poisson(Encoder):
    r"""Draws a spike in each step in which a Poisson process of rate x r_max has at least one event.

    .. math:: P(s = 1) = 1 - e^{-x\, r_\max\, dt}

    Unlike with `rate`, any rate is allowed, and the probability of no spike in a given time does not depend on dt.

    Args:
        max_rate_hz: r_max, rate of a channel of value 1 [Hz].

    Source: Dayan & Abbott 2001, Theoretical Neuroscience, section 1.4.

    >>> encoder = Poisson(steps=3, dt_s=0.001, max_rate_hz=1e6)
    >>> encoder.encode(torch.tensor([[1.0, 0.0]]), torch.Generator()).dense()[:, 0].sum(0).tolist()
    [3.0, 0.0]
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"
    takes: ClassVar[tuple[Form, ...]] = ("values", "traces")

    def __init__(self, *, steps: int, dt_s: float, max_rate_hz: float) -> None:
        super().__init__(steps=steps, dt_s=dt_s)
        self.max_rate_hz = require_number("encoder.max_rate_hz", max_rate_hz, low=0, open_low=True)

    def encode(self, values: Tensor, generator: torch.Generator) -> SparseSpikes:
        """Draw spikes [T, B, N] for values [B, N] or traces [B, steps, N]."""
        return drawn(-torch.expm1(-values * (self.max_rate_hz * self.dt_s)), self.steps, generator)
