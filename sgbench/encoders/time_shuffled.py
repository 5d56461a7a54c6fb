"""A control in which spikes keep their channel and number and lose their times."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from sgbench.encoders.base import Encoder, Form, filled_steps, in_order, one_a_step
from sgbench.errors import require_choice, require_flag
from sgbench.signals.spike_trains import SpikeTrains
from sgbench.signals.spikes import SparseSpikes

ORDERS = ("apart", "together")


class TimeShuffled(Encoder):
    r"""Shuffles the steps of each sample, anew in each epoch.

    .. math:: x_i[\pi_i(t)] = s_i[t], \qquad \pi_i \text{ a random order of the sample's steps}

    `apart` draws an order for each channel: only counts are left, still as spikes. `together` draws one for all
    channels: what fires in one step stays together, and what came before what is gone.

    Args:
        steps: number of time steps T.
        dt_s: duration of a step [s].
        crop: whether spikes beyond the last step are dropped, before the order is drawn.
        channels: "apart" or "together".

    Raises:
        InputError: another value of `channels`, or a duration or number of steps out of range.

    Source: shuffled spike times as a surrogate of the data, Louis, Borgelt & Gruen 2010, in: Analysis of Parallel
    Spike Trains, chapter 17 (spike train and spike time randomisation).

    >>> trains = SpikeTrains.of([0, 0, 0], [1, 1, 0], [2500, 700, 400], [4000], 2)
    >>> encoder = TimeShuffled(steps=5, dt_s=0.001, crop=False, channels="apart")
    >>> encoder.encode(trains, torch.Generator().manual_seed(0)).dense().sum(0).tolist()
    [[1.0, 2.0]]
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"
    takes: ClassVar[tuple[Form, ...]] = ("spikes",)

    def __init__(self, *, steps: int, dt_s: float, crop: bool, channels: str) -> None:
        super().__init__(steps=steps, dt_s=dt_s)
        self.crop = require_flag("encoder.crop", crop)
        self.order = require_choice("encoder.channels", channels, ORDERS)

    def encode(self, values: SpikeTrains, generator: torch.Generator) -> SparseSpikes:
        """Send spikes with the steps of each sample in a random order [T, B, N]."""
        lengths = self.lengths(values)
        step, sample, channel = one_a_step(values, self.dt_s, lengths)
        moved = step.clone()
        ends = torch.bincount(sample, minlength=len(values)).cumsum(0).tolist()
        first = 0
        for length, last in zip(lengths.tolist(), ends, strict=True):
            one = slice(first, last)
            moved[one] = self._shuffled_steps(step[one], channel[one], (length, values.n_channels), generator)
            first = last
        return in_order(moved, sample, channel, (self.steps, len(values), values.n_channels), values.dtype)

    def _shuffled_steps(
        self, step: Tensor, channel: Tensor, size: tuple[int, int], generator: torch.Generator
    ) -> Tensor:
        """Draw new steps, below the sample's length, for the spikes of one sample."""
        if self.order == "together":
            return torch.randperm(size[0], generator=generator)[step]
        return torch.rand(size, generator=generator).argsort(0)[step, channel]

    def lengths(self, values: SpikeTrains) -> Tensor:
        """Count the steps within each sample's duration, int64 [B]."""
        return filled_steps(values, self.dt_s, self.steps, crop=self.crop)
