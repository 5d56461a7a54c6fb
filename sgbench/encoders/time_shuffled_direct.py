"""The control encoder that shuffles the time steps of traces."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from sgbench.encoders.base import Encoder, Form, over_time
from sgbench.errors import require_number


class TimeShuffledDirect(Encoder):
    r"""Passes on traces v as real-valued input x with their steps shuffled, anew for each sample in each epoch.

    .. math:: x[\pi(t)] = \mathrm{gain} \cdot v[t], \qquad \pi \text{ a random order of the trace's steps}

    All channels have the same order: the values of one step stay together, but the order of steps is lost. Of a
    trace with one channel, such as the pixels of an image, only the distribution of values remains.

    Args:
        gain: factor on the values.

    Raises:
        InputError: a parameter is no number or out of range.

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
        """Return traces [B, steps, N] with shuffled steps, times the gain [T, B, N]."""
        steps = values.shape[1]
        order = torch.stack([torch.randperm(steps, generator=generator) for _ in range(len(values))])
        shuffled = torch.take_along_dim(values, order[..., None], 1)
        return over_time(self.gain * shuffled, self.steps).transpose(0, 1).contiguous()
