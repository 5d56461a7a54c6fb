"""The rate encoder: independent spikes with a probability proportional to the value."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from fastspiking.signals.spikes import SparseSpikes
from sgbench.encoders.base import Encoder, Form, drawn
from sgbench.errors import InputError, require_number


class Rate(Encoder):
    r"""Draws a spike in each step with the probability :math:`P(s = 1) = x \cdot r_\max \cdot dt`, x the value.

    Args:
        max_rate_hz: r_max, rate of a channel of value 1 [Hz]; at most 1/dt.

    Raises:
        InputError: the rate is above one spike per step.

    Source: the usual rate code; Gerstner & Kistler 2002, chapter 5 (Poisson spikes in discrete time).

    >>> encoder = Rate(steps=3, dt_s=0.001, max_rate_hz=1000.0)
    >>> encoder.encode(torch.tensor([[1.0, 0.0]]), torch.Generator()).dense()[:, 0].sum(0).tolist()
    [3.0, 0.0]
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"
    takes: ClassVar[tuple[Form, ...]] = ("values", "traces")

    def __init__(self, *, steps: int, dt_s: float, max_rate_hz: float) -> None:
        super().__init__(steps=steps, dt_s=dt_s)
        self.max_rate_hz = require_number("encoder.max_rate_hz", max_rate_hz, low=0, open_low=True)
        if self.max_rate_hz * self.dt_s > 1 + 1e-9:
            raise InputError(
                f"encoder.max_rate_hz={max_rate_hz:g}: above one spike per step of {dt_s:g} s; at most {1 / dt_s:g} Hz"
            )

    def encode(self, values: Tensor, generator: torch.Generator) -> SparseSpikes:
        """Draw spikes [T, B, N] for values [B, N] or traces [B, steps, N]."""
        return drawn(values * (self.max_rate_hz * self.dt_s), self.steps, generator)
