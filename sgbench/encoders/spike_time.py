"""The spike-time encoder: every channel has one spike, at a time that grows with its value."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from fastspiking.signals.spikes import SparseSpikes
from sgbench.encoders.base import Encoder, packed
from sgbench.errors import InputError, require_number


class SpikeTime(Encoder):
    r"""Encodes a value x as exactly one spike, at a time that grows linearly with it.

    .. math:: t(x) = t_\mathrm{first} + x (t_\mathrm{last} - t_\mathrm{first})

    The spike is in step floor(t/dt). An optional bias channel spikes at the same time in every sample, as a
    reference with which the network can compare the other times.

    Args:
        first_s: t_first, spike time of the value 0 [s].
        last_s: t_last, spike time of the value 1 [s], before the end of the last step.
        bias_s: spike time of the bias channel [s]; None for no such channel.

    Raises:
        InputError: a time is not before the end of the last step.

    Source: Göltz et al. 2021, Nature Machine Intelligence 3; Wunderlich & Pehle 2021, Scientific Reports 11:12829.

    >>> encoder = SpikeTime(steps=5, dt_s=0.001, first_s=0.001, last_s=0.004, bias_s=0.0)
    >>> encoder.encode(torch.tensor([[0.0, 0.5, 1.0]]), torch.Generator()).dense()[:, 0].argmax(0).tolist()
    [1, 2, 4, 0]
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"

    def __init__(self, *, steps: int, dt_s: float, first_s: float, last_s: float, bias_s: float | None) -> None:
        super().__init__(steps=steps, dt_s=dt_s)
        self.first_s = require_number("encoder.first_s", first_s, low=0)
        self.last_s = require_number("encoder.last_s", last_s, low=self.first_s)
        self.bias_s = None if bias_s is None else require_number("encoder.bias_s", bias_s, low=0)
        for name, time_s in (("last_s", self.last_s), ("bias_s", self.bias_s or 0.0)):
            if time_s / self.dt_s >= steps:
                raise InputError(f"encoder.{name}={time_s:g}: not before the end, {steps} steps of {dt_s:g} s")

    def encode(self, values: Tensor, generator: torch.Generator) -> SparseSpikes:
        """Encode values [B, N] as one spike a channel [T, B, N], or [T, B, N + 1] with a bias channel."""
        time_s = self.first_s + values * (self.last_s - self.first_s)
        if self.bias_s is not None:
            time_s = torch.nn.functional.pad(time_s, (0, 1), value=self.bias_s)
        # Rounding must not push the largest value out of the last step.
        step = torch.floor(time_s / self.dt_s).clamp_(max=self.steps - 1)
        return packed(step, torch.ones_like(step, dtype=torch.bool), self.steps, values.dtype)

    def channels(self, n_inputs: int) -> int:
        return n_inputs + (self.bias_s is not None)
