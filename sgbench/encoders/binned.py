"""The encoder of recorded spikes into time steps, at most one spike a step."""

from typing import ClassVar, Literal

import torch

from fastspiking.bins import bin_spikes
from fastspiking.signals.spikes import SparseSpikes, SpikeTrains
from sgbench.encoders.base import Encoder, Form
from sgbench.errors import require_flag


class Binned(Encoder):
    r"""Puts the spike at time t into step :math:`\lfloor t / dt \rfloor`; several in one step become one.

    A sample's valid steps are those of its duration. A spike after the last step is an error, or dropped by `crop`.

    Args:
        crop: whether spikes after the last step are dropped.

    Raises:
        InputError: `crop` is neither true nor false.

    Source: the usual discretisation; Neftci, Mostafa & Zenke 2019, companion code (SpyTorch, tutorial 4).

    >>> trains = SpikeTrains.of([0, 0, 0], [1, 1, 0], [2500, 2700, 400], [3000], 2)
    >>> Binned(steps=4, dt_s=0.001, crop=False).encode(trains, torch.Generator()).dense()[:, 0].tolist()
    [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"
    takes: ClassVar[tuple[Form, ...]] = ("spikes",)

    def __init__(self, *, steps: int, dt_s: float, crop: bool) -> None:
        super().__init__(steps=steps, dt_s=dt_s)
        self.crop = require_flag("encoder.crop", crop)

    def encode(self, values: SpikeTrains, generator: torch.Generator) -> SparseSpikes:
        """Put recorded spikes into steps [T, B, N], several of a channel in one step as one."""
        return bin_spikes(values, self.steps, self.dt_s)
