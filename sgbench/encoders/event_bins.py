"""The encoder of recorded spikes into time steps, with optional counts, pooling and merged polarities."""

import math
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from fastspiking.bins import NO_FOLD, bin_spikes
from fastspiking.signals.spikes import SparseSpikes, SpikeTrains
from sgbench.encoders.base import Encoder, Form, Image
from sgbench.errors import InputError, require_choice, require_count, require_flag

FORMS = ("binary", "count")
POLARITIES = ("separate", "merged")


class EventBins(Encoder):
    r"""Puts the spike at time t into step :math:`\lfloor t / dt \rfloor` of the input to which its channel belongs.

    .. math:: x_m[t] = \Big|\{\text{spikes } (n, t'):\ m = \mathrm{fold}(n),\ \lfloor t' / dt \rfloor = t\}\Big|

    counts the spikes of all channels n that belong to input m; with the form "binary", counts above 0 become 1.
    Channels of a camera, (p H + y) W + x, are pooled in squares of `pool` x `pool` pixels, others in groups of
    `pool` neighbours; groups at the border may be smaller. A spike after the last step is an error, or dropped by
    `crop` and counted by `truncated`.

    Args:
        crop: whether spikes after the last step are dropped.
        form: "binary" or "count".
        polarity: "separate" or, for cameras, "merged": both polarities p go to the same input.
        pool: side of a square of pixels, or number of channels in a group.
        image: polarities, height H and width W of the data set's camera; None if it has none.

    Raises:
        InputError: a parameter is out of range, or `polarity` is "merged" without a camera.

    Source: frames of events, e.g. Orchard et al. 2015, Frontiers in Neuroscience 9:437; as binary steps Cramer et
    al. 2022, IEEE Transactions on Neural Networks and Learning Systems 33(7).

    >>> trains = SpikeTrains.of([0, 0, 0], [1, 0, 3], [2500, 2700, 400], [3000], 4)
    >>> encoder = EventBins(steps=3, dt_s=0.001, crop=False, form="count", polarity="separate", pool=2)
    >>> encoder.encode(trains, torch.Generator()).dense()[:, 0].tolist()
    [[0.0, 1.0], [0.0, 0.0], [2.0, 0.0]]
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"  # "real" for counts
    takes: ClassVar[tuple[Form, ...]] = ("spikes",)

    def __init__(
        self, *, steps: int, dt_s: float, crop: bool, form: str, polarity: str, pool: int, image: Image | None = None
    ) -> None:
        super().__init__(steps=steps, dt_s=dt_s)
        self.crop = require_flag("encoder.crop", crop)
        self.form = require_choice("encoder.form", form, FORMS)
        self.polarity = require_choice("encoder.polarity", polarity, POLARITIES)
        self.pool = require_count("encoder.pool", pool)
        self.camera = image  # shape; None if the channels are no camera's
        if self.polarity == "merged" and image is None:
            raise InputError("encoder.polarity=merged: the data set has no polarities; use encoder.polarity=separate")
        if self.form == "count":
            self.output = "real"  # pyright: ignore[reportAttributeAccessIssue] - elsewhere fixed by the class

    def encode(self, values: SpikeTrains, generator: torch.Generator) -> SparseSpikes:
        """Put recorded spikes into steps and pooled inputs [T, B, M], as spikes or counts."""
        fold, inputs = self._input_of_channel(values.n_channels)
        return bin_spikes(values, self.steps, self.dt_s, fold=fold, inputs=inputs, counts=self.form == "count")

    def channels(self, n_inputs: int) -> int:
        pooled = self.image_of(self.camera)
        return -(-n_inputs // self.pool) if pooled is None else math.prod(pooled)

    def image_of(self, image: Image | None) -> Image | None:
        """Return the shape of an image after pooling and merging of polarities; None for None."""
        if image is None:
            return None
        polarities, height, width = image
        return 1 if self.polarity == "merged" else polarities, -(-height // self.pool), -(-width // self.pool)

    def _input_of_channel(self, n_channels: int) -> tuple[NDArray[np.int32], int]:
        """Return the input of each channel, int32 [n_channels] (empty if it is the channel), and their number M."""
        inputs = self.channels(n_channels)
        if self.pool == 1 and self.polarity == "separate":
            return NO_FOLD, inputs
        channel = np.arange(n_channels)
        pooled = self.image_of(self.camera)
        if pooled is None or self.camera is None:
            return (channel // self.pool).astype(np.int32), inputs
        _, height, width = self.camera
        row, x = np.divmod(channel, width)
        polarity, y = np.divmod(row, height)
        pooled_row = (0 if self.polarity == "merged" else polarity) * pooled[1] + y // self.pool
        return (pooled_row * pooled[2] + x // self.pool).astype(np.int32), inputs
