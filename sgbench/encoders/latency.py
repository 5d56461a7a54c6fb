"""The latency encoder: one spike per channel, the earlier the larger the value."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from fastspiking.signals.spikes import SparseSpikes
from sgbench.encoders.base import Encoder, packed
from sgbench.errors import require_number


class Latency(Encoder):
    r"""Encodes a value x as the time of the first spike of a leaky membrane charged by the constant current x.

    .. math:: t(x) = \tau_\mathrm{eff} \ln \frac{x}{x - x_\theta}, \qquad \text{no spike if } x \le x_\theta

    The spike is in step floor(t/dt); there is none if that is after the last step.

    Args:
        tau_eff_s: time constant tau_eff of the membrane [s].
        threshold: x_theta, the largest value without a spike, in (0, 1].

    Source: Neftci, Mostafa & Zenke 2019, companion code (SpyTorch, tutorial 2).

    >>> encoder = Latency(steps=5, dt_s=0.001, tau_eff_s=0.002, threshold=0.2)
    >>> spikes = encoder.encode(torch.tensor([[1.0, 0.4, 0.1]]), torch.Generator()).dense()
    >>> spikes[:, 0].argmax(0).tolist(), spikes.sum().item()  # 0.45 ms, 1.39 ms, never
    ([0, 1, 0], 2.0)
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"

    def __init__(self, *, steps: int, dt_s: float, tau_eff_s: float, threshold: float) -> None:
        super().__init__(steps=steps, dt_s=dt_s)
        self.tau_eff_s = require_number("encoder.tau_eff_s", tau_eff_s, low=0, open_low=True)
        self.threshold = require_number("encoder.threshold", threshold, low=0, high=1, open_low=True)

    def encode(self, values: Tensor, generator: torch.Generator) -> SparseSpikes:
        """Encode values [B, N] as at most one spike a channel [T, B, N]."""
        fires = values > self.threshold
        safe = torch.where(fires, values, torch.ones_like(values))
        time_s = self.tau_eff_s * torch.log(safe / (safe - self.threshold))
        # Clamped as float, since infinite and very late times do not fit an integer type.
        step = torch.div(time_s, self.dt_s).floor().clamp_(max=self.steps)
        return packed(step, fires, self.steps, values.dtype)
