"""One spike per channel, earlier in proportion to the value."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from sgbench.encoders.base import ROUNDING, Encoder, packed, slack
from sgbench.errors import require_number
from sgbench.signals.spikes import SparseSpikes


class LinearLatency(Encoder):
    r"""Encodes a value as a spike time: the larger the value the earlier the spike, in proportion.

    .. math:: t(x) = t_\mathrm{last} (1 - x), \qquad \text{silent if } x \le x_\theta

    The spike falls into step floor(t/dt); times beyond the last step are silent.

    Args:
        steps: number of time steps T.
        dt_s: duration of a step [s].
        last_s: time of the value 0 [s].
        threshold: value at and below which a channel stays silent, in [0, 1].

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
        """Send one spike a channel, earlier in proportion to the value [T, B, N]."""
        last = self.last_s / self.dt_s
        # In double precision, so that nothing but the rounding of the values themselves is left to forgive.
        step = torch.floor((1 - values.double()) * last + (ROUNDING + last * slack(values)))
        return packed(step, values > self.threshold, self.steps, values.dtype)
