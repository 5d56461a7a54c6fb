"""The linear latency encoder: one spike per channel, whose time falls linearly with the value."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from fastspiking.signals.spikes import SparseSpikes
from sgbench.encoders.base import ROUNDING, Encoder, packed, slack
from sgbench.errors import require_number


class LinearLatency(Encoder):
    r"""Encodes a value x as a spike time that falls linearly with it.

    .. math:: t(x) = t_\mathrm{last} (1 - x), \qquad \text{no spike if } x \le x_\theta

    The spike is in step floor(t/dt); there is none if that is after the last step.

    Args:
        last_s: t_last, spike time of the value 0 [s].
        threshold: x_theta, the largest value without a spike, in [0, 1].

    Source: snnTorch `spikegen.latency` with `linear`.

    >>> encoder = LinearLatency(steps=5, dt_s=0.001, last_s=0.004, threshold=0.1)
    >>> spikes = encoder.encode(torch.tensor([[1.0, 0.5, 0.1]]), torch.Generator()).dense()
    >>> spikes[:, 0].argmax(0).tolist(), spikes.sum().item()  # 0 ms, 2 ms, never
    ([0, 2, 0], 2.0)
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"

    def __init__(self, *, steps: int, dt_s: float, last_s: float, threshold: float) -> None:
        super().__init__(steps=steps, dt_s=dt_s)
        self.last_s = require_number("encoder.last_s", last_s, low=0)
        self.threshold = require_number("encoder.threshold", threshold, low=0, high=1)

    def encode(self, values: Tensor, generator: torch.Generator) -> SparseSpikes:
        """Encode values [B, N] as at most one spike a channel [T, B, N]."""
        last = self.last_s / self.dt_s
        # In double precision, so that `slack` has to allow for the rounding of the values only.
        step = torch.floor((1 - values.double()) * last + (ROUNDING + last * slack(values)))
        return packed(step, values > self.threshold, self.steps, values.dtype)
