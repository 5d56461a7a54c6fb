"""A control in which the steps of a trace come in random order."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from sgbench.encoders.base import Encoder, Form, over_time
from sgbench.errors import require_number


class TimeShuffledDirect(Encoder):
    r"""Passes on a trace as a current with its steps shuffled, anew for each sample in each epoch.

    .. math:: x[\pi(t)] = \mathrm{gain} \cdot v[t], \qquad \pi \text{ a random order of the trace's steps}

    One order for all channels: what a step holds stays together, what came before what is gone. Of a trace with one
    channel, such as the pixels of an image in sequence, only how often each value occurs is left.

    Args:
        steps: number of time steps T.
        dt_s: duration of a step [s].
        gain: factor on the values.

    Raises:
        InputError: a gain that is no number, or a duration or number of steps out of range.

    Source: shuffling in time as a surrogate of the data, Theiler et al. 1992, Physica D 58 (algorithm zero).

    >>> encoder = TimeShuffledDirect(steps=4, dt_s=0.001, gain=2.0)
    >>> x = encoder.encode(torch.tensor([[[0.1], [0.2], [0.3]]]), torch.Generator().manual_seed(0))
    >>> sorted(round(value, 6) for value in x.flatten().tolist())
    [0.0, 0.2, 0.4, 0.6]
    """

    output: ClassVar[Literal["binary", "real"]] = "real"
    takes: ClassVar[tuple[Form, ...]] = ("traces",)

    def __init__(self, *, steps: int, dt_s: float, gain: float) -> None:
        super().__init__(steps=steps, dt_s=dt_s)
        self.gain = require_number("encoder.gain", gain)

    def encode(self, values: Tensor, generator: torch.Generator) -> Tensor:
        """Send traces as currents with the steps of each sample in a random order [T, B, N]."""
        filled = values.shape[1]
        order = torch.stack([torch.randperm(filled, generator=generator) for _ in range(len(values))])
        moved = torch.take_along_dim(values, order[..., None], 1)
        return over_time(self.gain * moved, self.steps).transpose(0, 1).contiguous()
