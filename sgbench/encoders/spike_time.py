"""The value is the time of the only spike."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from sgbench.encoders.base import Encoder, packed
from sgbench.errors import InputError, require_number
from sgbench.signals.spikes import SparseSpikes


class SpikeTime(Encoder):
    r"""Lets every channel fire exactly once, at a time that grows with the value; silence carries nothing.

    .. math:: t(x) = t_\mathrm{first} + x (t_\mathrm{last} - t_\mathrm{first})

    The spike falls into step floor(t/dt). A bias channel, where asked for, fires at a time of its own in every
    sample: without it, times have nothing to be compared with.

    Args:
        steps: number of time steps T.
        dt_s: duration of a step [s].
        first_s: time of the value 0 [s].
        last_s: time of the value 1 [s], within the steps.
        bias_s: time of the bias channel's spike [s], or None.

    Raises:
        InputError: a time is not within the steps.

    Source: Göltz et al. 2021, Nature Machine Intelligence 3; Wunderlich & Pehle 2021, Scientific Reports 11:12829.

    >>> encoder = SpikeTime(steps=5, dt_s=0.001, first_s=0.001, last_s=0.004, bias_s=0.0)
    >>> encoder.encode(torch.tensor([[0.0, 0.5, 1.0]]), torch.Generator()).dense()[:, 0].argmax(0).tolist()
    [1, 2, 4, 0]
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"

    def __init__(
        self, *, steps: int, dt_s: float, first_s: float, last_s: float, bias_s: float | None
    ) -> None:
        super().__init__(steps=steps, dt_s=dt_s)
        self.first_s = require_number("encoder.first_s", first_s, low=0)
        self.last_s = require_number("encoder.last_s", last_s, low=self.first_s)
        self.bias_s = None if bias_s is None else require_number("encoder.bias_s", bias_s, low=0)
        for name, time_s in (("last_s", self.last_s), ("bias_s", self.bias_s or 0.0)):
            if time_s / self.dt_s >= steps:
                raise InputError(
                    f"encoder.{name}={time_s:g}: not before the end, {steps} steps of {dt_s:g} s"
                )

    def encode(self, values: Tensor, generator: torch.Generator) -> SparseSpikes:
        """Send one spike a channel at a time that grows with the value [T, B, N], or N + 1 with a bias."""
        time_s = self.first_s + values * (self.last_s - self.first_s)
        if self.bias_s is not None:
            time_s = torch.nn.functional.pad(time_s, (0, 1), value=self.bias_s)
        # The product's last bit must not push the largest value out of the last step.
        step = torch.floor(time_s / self.dt_s).clamp_(max=self.steps - 1)
        return packed(step, torch.ones_like(step, dtype=torch.bool), self.steps, values.dtype)

    def channels(self, n_inputs: int) -> int:
        """Count a channel for each input, and one more where there is a bias."""
        return n_inputs + (self.bias_s is not None)
