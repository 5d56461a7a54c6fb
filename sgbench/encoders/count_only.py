"""The control encoder that removes all information in time: each channel's mean in every step."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from fastspiking.signals.spikes import SpikeTrains
from sgbench.encoders.base import Encoder, Form, one_a_step
from sgbench.errors import require_flag, require_number


class CountOnly(Encoder):
    r"""Replaces each channel by its mean over the valid steps of its sample: counts remain, times are lost.

    .. math:: x[t] = \frac{\mathrm{gain}}{T_b} \sum_{t' < T_b} s[t'], \qquad t < T_b

    s[t] is the channel's spike or trace in step t, T_b the valid steps of sample b. A network's accuracy with it
    needs no spike times; the difference to the accuracy with the task's usual encoder is due to them. With a gain
    of 1, a channel's sum over time stays the same. Input is real, so the first layer multiplies.

    Args:
        crop: whether spikes after the last step are dropped.
        gain: factor on the means.

    Raises:
        InputError: a parameter is no number or out of range.

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
        """Return each channel's mean over the valid steps of its sample, in each of these steps [T, B, N]."""
        lengths = self.lengths(values)
        total = values.sum(1) if isinstance(values, Tensor) else self._counts(values, lengths)
        filled = torch.arange(self.steps)[:, None] < lengths
        return self.gain * (total / lengths[:, None]).to(values.dtype) * filled[..., None].to(values.dtype)

    def _counts(self, trains: SpikeTrains, lengths: Tensor) -> Tensor:
        """Count the spikes of each sample and channel within valid steps [B, N], several in one step as one."""
        _, sample, channel = one_a_step(trains, self.dt_s, lengths)
        size = len(trains), trains.n_channels
        return torch.bincount(sample * size[1] + channel, minlength=size[0] * size[1]).view(size)
