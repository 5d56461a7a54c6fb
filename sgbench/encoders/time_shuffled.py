"""The control encoder that shuffles the time steps of recorded spikes."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from fastspiking.signals.spikes import SparseSpikes, SpikeTrains
from sgbench.encoders.base import Encoder, Form, in_order, one_a_step
from sgbench.errors import require_choice, require_flag

ORDERS = ("apart", "together")


class TimeShuffled(Encoder):
    r"""Puts recorded spikes s into steps and shuffles the valid steps of each sample, anew in each epoch.

    .. math:: x_i[\pi_i(t)] = s_i[t], \qquad \pi_i \text{ a random order of the sample's steps}

    With "apart", each channel i has an order of its own: only spike counts remain. With "together", all channels
    have the same order: spikes in one step stay together, but the order of steps is lost.

    Args:
        crop: whether spikes after the last step are dropped, before steps are shuffled.
        channels: how to shuffle channels: "apart" or "together".

    Raises:
        InputError: `channels` has another value, or another parameter is out of range.

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
        """Put recorded spikes into the shuffled steps of their samples [T, B, N]."""
        lengths = self.lengths(values)
        step, sample, channel = one_a_step(values, self.dt_s, lengths)
        shuffled = step.clone()
        ends = torch.bincount(sample, minlength=len(values)).cumsum(0).tolist()
        first = 0
        for length, end in zip(lengths.tolist(), ends, strict=True):
            spikes, size = slice(first, end), (length, values.n_channels)
            shuffled[spikes] = self._shuffled_steps(step[spikes], channel[spikes], size, generator)
            first = end
        return in_order(shuffled, sample, channel, (self.steps, len(values), values.n_channels), values.dtype)

    def _shuffled_steps(
        self, step: Tensor, channel: Tensor, size: tuple[int, int], generator: torch.Generator
    ) -> Tensor:
        """Return new steps of all spikes: steps are permuted for all channels together, or in each channel apart."""
        if self.order == "together":
            return torch.randperm(size[0], generator=generator)[step]
        return torch.rand(size, generator=generator).argsort(0)[step, channel]
