"""The base class of encoders, which turn a data set's samples into input over time, and functions they share."""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from fastspiking.bins import count_late_spikes, packed_steps
from fastspiking.signals.spikes import Signal, SparseSpikes, SpikeTrains, nonzero_positions
from sgbench.errors import require_count, require_number

Form = Literal["values", "traces", "spikes"]
"""Form of a sample: values [N], a trace [steps, N], or spikes with times in microseconds."""
Image = tuple[int, int, int]
"""Channels, height and width."""
Values = Tensor | SpikeTrains
"""Samples: values [B, N] or traces [B, steps, N] in [0, 1], or spike trains."""


class Encoder(ABC):
    """Turns samples with N inputs into input over time [T, B, M].

    Args:
        steps: number of time steps T.
        dt_s: duration of a step [s].
    """

    output: ClassVar[Literal["binary", "real"]]  # whether every input is 0 or 1, so that layers need not multiply
    takes: ClassVar[tuple[Form, ...]] = ("values",)  # forms of samples that `encode` accepts
    crop: bool = False  # whether spikes after the last step are dropped; else they are an error

    def __init__(self, *, steps: int, dt_s: float) -> None:
        self.steps = require_count("encoder.steps", steps)
        self.dt_s = require_number("encoder.dt_s", dt_s, low=0, open_low=True)

    @abstractmethod
    def encode(self, values: Any, generator: torch.Generator) -> Signal:
        """Turn samples into input [T, B, M] of the dtype of `values`; spikes are returned as `SparseSpikes`.

        Random encoders draw sample by sample, so that the result does not depend on the batch size.

        Args:
            values: samples of one of the forms in `takes`.
            generator: for random encoders.
        """

    def channels(self, n_inputs: int) -> int:
        """Return the number M of channels of the input made of samples with `n_inputs` inputs."""
        return n_inputs

    def image_of(self, image: Image | None) -> Image | None:
        """Return the shape of the image that the channels form if the samples' inputs form `image`, else None."""
        if image is None or self.channels(math.prod(image)) != math.prod(image):
            return None
        return image

    def truncated(self, values: Any) -> int:
        """Count the spikes of these samples that are dropped because they lie after the last step."""
        is_cropped = isinstance(values, SpikeTrains) and self.crop
        return count_late_spikes(values, self.steps, self.dt_s) if is_cropped else 0

    def lengths(self, values: Any) -> Tensor:
        """Count the valid steps of each sample, int64 [B].

        Constant values have all T steps. A trace has as many as it was recorded with, spikes as many as they
        last, which can be more than T unless `crop` is set.
        """
        if isinstance(values, SpikeTrains):
            return filled_steps(values, self.dt_s, self.steps, crop=self.crop)
        filled = values.shape[1] if values.ndim == 3 else self.steps  # noqa: PLR2004 - a trace has three axes
        return torch.full((len(values),), filled, dtype=torch.int64)


class ChangeEncoder(Encoder):
    """Encodes the changes of N traces: channel n has the rises of trace n, channel N + n its falls.

    Args:
        threshold: smallest change that is encoded, above 0.
    """

    takes: ClassVar[tuple[Form, ...]] = ("traces",)

    def __init__(self, *, steps: int, dt_s: float, threshold: float) -> None:
        super().__init__(steps=steps, dt_s=dt_s)
        self.threshold = require_number("encoder.threshold", threshold, low=0, open_low=True)

    @abstractmethod
    def changes(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sizes of rises and of falls in each step, both [B, steps, N]; 0 where there is none."""

    def encode(self, values: Tensor, generator: torch.Generator) -> SparseSpikes:
        """Turn traces [B, steps, N] into events [T, B, 2 N]: N channels of rises, then N of falls, with their sizes."""
        changes = torch.cat(self.changes(values), 2).to(values.dtype)
        return SparseSpikes.of(over_time(changes, self.steps).transpose(0, 1))

    def channels(self, n_inputs: int) -> int:
        """Return 2 N, two channels for each of N traces."""
        return 2 * n_inputs


ROUNDING = 1e-6
"""Largest rounding error, in steps, of a quotient of two times that should be a whole number."""


def slack(values: Tensor) -> float:
    """Return an upper bound of the relative rounding error of numbers of this dtype after two products.

    Encoders allow for it before a floor or ceiling. Without it, the ceiling of 3 times the rounded 1/3 would be 2.

    >>> third = torch.tensor(1 / 3)
    >>> torch.ceil(3 * third.double()).item(), torch.ceil(3 * third.double() * (1 - slack(third))).item()
    (2.0, 1.0)
    """
    return 2 * torch.finfo(values.dtype).eps


def form_of(values: Values) -> Form:
    """Return the form of samples: "values", "traces" or "spikes".

    >>> form_of(torch.zeros(5, 2)), form_of(torch.zeros(5, 7, 2))
    ('values', 'traces')
    """
    if isinstance(values, SpikeTrains):
        return "spikes"
    return "values" if values.ndim == 2 else "traces"  # noqa: PLR2004 - samples and inputs


def over_time(values: Tensor, steps: int) -> Tensor:
    """Repeat values [B, N] in every step, or pad traces [B, S, N] with zeros at the end; return [B, T, N]."""
    if values.ndim == 2:  # noqa: PLR2004 - samples and inputs
        return values.unsqueeze(1).expand(-1, steps, -1)
    return torch.nn.functional.pad(values, (0, 0, 0, steps - values.shape[1]))


def drawn(probability: Tensor, steps: int, generator: torch.Generator) -> SparseSpikes:
    """Draw independent spikes [T, B, N].

    `probability`: of a spike in every step [B, N], or in each step [B, S, N]. `steps`: number of steps T. `generator`:
    draws sample by sample, so that the spikes do not depend on the batch size.
    """
    batch, channels = probability.shape[0], probability.shape[-1]
    uniform = torch.rand((batch, steps, channels), generator=generator, dtype=torch.float32)
    fires = uniform.to(probability.device) < over_time(probability, steps)
    step, sample, channel = fires.transpose(0, 1).nonzero(as_tuple=True)
    shape = (steps, batch, channels)
    return SparseSpikes.from_rows(step * batch + sample, channel, None, shape, probability.dtype)


def packed(step: Tensor, fires: Tensor, steps: int, dtype: torch.dtype) -> SparseSpikes:
    """Make sparse spikes [T, B, M] with at most one spike a channel.

    `step`: step of each channel's spike, as float or whole number [B, M]; no spike if outside 0 to T - 1. `fires`:
    whether the channel spikes, bool [B, M]. `steps`: number of steps T. `dtype`: of the dense form.
    """
    events = packed_steps(step, fires, steps, dtype)
    if events is not None:
        return events
    batch, channels = step.shape
    position = nonzero_positions((fires & (step >= 0) & (step < steps)).reshape(-1))  # sample * M + channel
    spike_step = step.reshape(-1)[position].to(_smallest_integer_type(steps))
    order = stable_order(spike_step)
    position = position[order]
    sample = position // channels
    row = spike_step[order].long() * batch + sample
    return SparseSpikes.from_rows(row, position - sample * channels, None, (steps, batch, channels), dtype)


def in_order(
    step: Tensor,
    sample: Tensor,
    channel: Tensor,
    shape: tuple[int, int, int],
    dtype: torch.dtype,
    value: Tensor | None = None,
) -> SparseSpikes:
    """Make sparse spikes [T, B, M] from spikes sorted by sample and then by channel.

    `step`: of each spike, 0 to T - 1 [spikes]. `sample`: of each spike, ascending [spikes]. `channel`: of each spike,
    ascending within a sample [spikes]. `shape`: (T, B, M). `dtype`: of the dense form. `value`: size of each spike
    [spikes]; None if all are 1.
    """
    order = stable_order(step.to(_smallest_integer_type(shape[0])))
    row = (step.long() * shape[1] + sample)[order]
    return SparseSpikes.from_rows(row, channel[order], None if value is None else value[order], shape, dtype)


def one_a_step(trains: SpikeTrains, dt_s: float, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return step, sample and channel of a batch's spikes, with several in a step of dt_s as one; each [spikes].

    Sorted by sample, channel and step. Spikes after a sample's valid steps (`lengths` [B]) are dropped.
    """
    step, sample = trains.step_of(dt_s), trains.sample()
    keep = step < lengths[sample]
    steps = int(lengths.max()) if len(lengths) else 1
    key = (sample[keep] * trains.n_channels + trains.channel[keep]) * steps + step[keep]
    train, step = np.divmod(np.unique(key.numpy()), steps)
    sample, channel = np.divmod(train, trains.n_channels)
    return torch.from_numpy(step), torch.from_numpy(sample), torch.from_numpy(channel)


def filled_steps(trains: SpikeTrains, dt_s: float, steps: int, *, crop: bool) -> Tensor:
    """Count the steps of dt_s in each sample's duration, int64 [B]; `crop` limits them to `steps`."""
    filled = trains.steps(dt_s)
    return filled.clamp(max=steps) if crop else filled


def stable_order(key: Tensor) -> Tensor:
    """Return the positions that sort whole-number keys stably; on CPU by NumPy, fastest for short types."""
    if key.device.type == "cpu":
        return torch.from_numpy(np.argsort(key.numpy(), kind="stable"))
    return torch.argsort(key, stable=True)


def _smallest_integer_type(steps: int) -> torch.dtype:
    fitting = (dtype for dtype in (torch.uint8, torch.int16) if steps - 1 <= torch.iinfo(dtype).max)
    return next(fitting, torch.int64)
