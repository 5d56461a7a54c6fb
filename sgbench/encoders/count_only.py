"""A control from which time has been taken out."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from sgbench.encoders.base import Encoder, Form, filled_steps, one_a_step
from sgbench.errors import require_flag, require_number
from sgbench.signals.spike_trains import SpikeTrains


class CountOnly(Encoder):
    r"""Replaces each channel by its mean over the steps of its sample: counts remain, times are lost.

    .. math:: x[t] = \frac{\mathrm{gain}}{T_b} \sum_{t' < T_b} s[t'], \qquad t < T_b

    What a network reaches under it is reached without time; the distance to the score under the task's own code is
    what times contribute. A sample's channel brings as much in all as its binned spikes did (gain 1). Input is
    real: the first layer needs multiplications.

    Args:
        steps: number of time steps T.
        dt_s: duration of a step [s].
        crop: whether spikes beyond the last step are dropped.
        gain: factor on the means.

    Raises:
        InputError: a gain that is no number, or a duration or number of steps out of range.

    Source: the count baselines of Cramer et al. 2022, IEEE TNNLS 33(7), section IV (time removed from the Spiking
    Heidelberg Digits).

    >>> trains = SpikeTrains.of([0, 0, 0], [1, 1, 0], [2500, 700, 400], [4000], 2)
    >>> CountOnly(steps=5, dt_s=0.001, crop=False, gain=1.0).encode(trains, torch.Generator())[:, 0, 1].tolist()
    [0.5, 0.5, 0.5, 0.5, 0.0]
    """

    output: ClassVar[Literal["binary", "real"]] = "real"
    takes: ClassVar[tuple[Form, ...]] = ("traces", "spikes")

    def __init__(self, *, steps: int, dt_s: float, crop: bool, gain: float) -> None:
        super().__init__(steps=steps, dt_s=dt_s)
        self.crop = require_flag("encoder.crop", crop)
        self.gain = require_number("encoder.gain", gain)

    def encode(self, values: Tensor | SpikeTrains, generator: torch.Generator) -> Tensor:
        """Send each channel's mean over its sample's steps as a current in all of them [T, B, N], not drawn."""
        lengths = self.lengths(values)
        total = values.sum(1) if isinstance(values, Tensor) else self._counts(values, lengths)
        filled = torch.arange(self.steps)[:, None] < lengths
        return self.gain * (total / lengths[:, None]).to(values.dtype) * filled[..., None].to(values.dtype)

    def _counts(self, trains: SpikeTrains, lengths: Tensor) -> Tensor:
        """Count the spikes of each sample and channel, several in one step as one [B, N]."""
        _, sample, channel = one_a_step(trains, self.dt_s, lengths)
        size = len(trains), trains.n_channels
        return torch.bincount(sample * size[1] + channel, minlength=size[0] * size[1]).view(size)

    def lengths(self, values: Tensor | SpikeTrains) -> Tensor:
        """Count the steps within each sample's duration, or of its trace, int64 [B]."""
        if isinstance(values, Tensor):
            return super().lengths(values)
        return filled_steps(values, self.dt_s, self.steps, crop=self.crop)
