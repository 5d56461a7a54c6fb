"""Recorded spikes in time steps: counted or not, with polarities or without, neighbours pooled or not."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sgbench.encoders.base import Encoder, Form, Image, filled_steps
from sgbench.engine.bins import AS_THEY_ARE, bin_spikes
from sgbench.errors import InputError, require_choice, require_count, require_flag
from sgbench.signals.spike_trains import SpikeTrains
from sgbench.signals.spikes import SparseSpikes

FORMS = ("binary", "count")
POLARITIES = ("separate", "merged")


class EventBins(Encoder):
    r"""Puts the spike at time t into step :math:`\lfloor t / dt \rfloor` of the input that its channel belongs to.

    .. math:: x_m[t] = \Big|\{\text{spikes } (n, t'):\ m = \mathrm{fold}(n),\ \lfloor t' / dt \rfloor = t\}\Big|

    or 1 where this is not 0. Steps have a fixed duration and the last one is not dropped: as counts, every spike
    arrives, but for those after the last step, which are refused, or with `crop` left out and counted
    (`truncated`). Channels of a camera, (p H + y) W + x, are pooled in squares of `pool` x `pool` pixels, others in
    groups of `pool` neighbours; a border that does not fill a group makes one of its own.

    Args:
        steps: number of time steps T.
        dt_s: duration of a step [s].
        crop: whether spikes beyond the last step are left out.
        form: "binary" or "count".
        polarity: "separate" or, for cameras, "merged": brighter and darker are one.
        pool: side of a square of pixels, or channels of a group.
        image: polarities, height and width of a camera (of the data set).

    Raises:
        InputError: a parameter out of range, or polarities merged where there are none.

    Source: frames of events, e.g. Orchard et al. 2015, Frontiers in Neuroscience 9:437; as binary steps Cramer et
    al. 2022, IEEE Transactions on Neural Networks and Learning Systems 33(7).

    >>> trains = SpikeTrains.of([0, 0, 0], [1, 0, 3], [2500, 2700, 400], [3000], 4)
    >>> encoder = EventBins(steps=3, dt_s=0.001, crop=False, form="count", polarity="separate", pool=2)
    >>> encoder.encode(trains, torch.Generator()).dense()[:, 0].tolist()
    [[0.0, 1.0], [0.0, 0.0], [2.0, 0.0]]
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"  # of an entry; counts make it "real"
    takes: ClassVar[tuple[Form, ...]] = ("spikes",)

    def __init__(
        self,
        *,
        steps: int,
        dt_s: float,
        crop: bool,
        form: str,
        polarity: str,
        pool: int,
        image: Image | None = None,
    ) -> None:
        super().__init__(steps=steps, dt_s=dt_s)
        self.crop = require_flag("encoder.crop", crop)
        self.form = require_choice("encoder.form", form, FORMS)
        self.polarity = require_choice("encoder.polarity", polarity, POLARITIES)
        self.pool = require_count("encoder.pool", pool)
        self.camera = image
        if self.polarity == "merged" and image is None:
            raise InputError(
                "encoder.polarity=merged: the data set has no polarities; use encoder.polarity=separate"
            )
        if self.form == "count":
            self.output = "real"  # pyright: ignore[reportAttributeAccessIssue] - the others' is of their class

    def encode(self, values: SpikeTrains, generator: torch.Generator) -> SparseSpikes:
        """Put recorded spikes into steps and inputs, as spikes or as counts [T, B, M]."""
        fold, inputs = self._input_of_channel(values.n_channels)
        return bin_spikes(
            values, self.steps, self.dt_s, fold=fold, inputs=inputs, counts=self.form == "count"
        )

    def lengths(self, values: SpikeTrains) -> Tensor:
        """Count the steps within each sample's duration, int64 [B]."""
        return filled_steps(values, self.dt_s, self.steps, crop=self.crop)

    def channels(self, n_inputs: int) -> int:
        """Count the inputs M that so many channels are pooled into."""
        left = self.image_of(self.camera)
        return -(-n_inputs // self.pool) if left is None else math.prod(left)

    def image_of(self, image: Image | None) -> Image | None:
        """Return the image that pooling and merged polarities leave of one; None where there is none."""
        if image is None:
            return None
        polarities, height, width = image
        return 1 if self.polarity == "merged" else polarities, -(-height // self.pool), -(-width // self.pool)

    def _input_of_channel(self, n_channels: int) -> tuple[NDArray[np.int32], int]:
        """Map each channel to its input, by an empty array where they are the same, and count the inputs."""
        inputs = self.channels(n_channels)
        if self.pool == 1 and self.polarity == "separate":
            return AS_THEY_ARE, inputs
        channel = np.arange(n_channels)
        left = self.image_of(self.camera)
        if left is None or self.camera is None:
            return (channel // self.pool).astype(np.int32), inputs
        _, height, width = self.camera
        rest, x = np.divmod(channel, width)
        polarity, y = np.divmod(rest, height)
        row = (0 if self.polarity == "merged" else polarity) * left[1] + y // self.pool
        return (row * left[2] + x // self.pool).astype(np.int32), inputs
