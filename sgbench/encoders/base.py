"""The contract of an encoder: what a data set holds becomes input over time."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from sgbench.engine.bins import count_late_spikes, packed_steps
from sgbench.errors import require_count, require_number
from sgbench.signals.spike_trains import SpikeTrains
from sgbench.signals.spikes import Signal, SparseSpikes

Form = Literal["values", "traces", "spikes"]
"""What a sample is: values [N], a trace [steps, N], or spikes with times of their own."""
Image = tuple[int, int, int]
"""Channels, height and width."""
Values = Tensor | SpikeTrains
"""Samples: values [B, N] or traces [B, steps, N] in [0, 1], or spike trains."""


class Encoder(ABC):
    """Turns samples into input [T, B, M].

    Args:
        steps: number of time steps T.
        dt_s: duration of a step [s].
    """

    output: ClassVar[Literal["binary", "real"]]
    takes: ClassVar[tuple[Form, ...]] = ("values",)

    def __init__(self, *, steps: int, dt_s: float) -> None:
        self.steps = require_count("encoder.steps", steps)
        self.dt_s = require_number("encoder.dt_s", dt_s, low=0, open_low=True)

    @abstractmethod
    def encode(self, values: Any, generator: torch.Generator) -> Signal:
        """Turn samples into input [T, B, M] of the dtype of the values, spikes packed.

        Drawing sample by sample from `generator` makes the code of a split the same whatever the batch size.

        Args:
            values: samples in one of the forms that `takes` names.
            generator: of the encoding's stream.
        """

    def channels(self, n_inputs: int) -> int:
        """Count the channels M of the code of samples with so many inputs."""
        return n_inputs

    def image_of(self, image: Image | None) -> Image | None:
        """Return the image that the channels make where the inputs make `image`; None where they make none."""
        if image is None or self.channels(math.prod(image)) != math.prod(image):
            return None
        return image

    def truncated(self, values: Any) -> int:
        """Count the spikes of these samples that lie beyond the last step and are left out."""
        crops = isinstance(values, SpikeTrains) and getattr(self, "crop", False)
        return count_late_spikes(values, self.steps, self.dt_s) if crops else 0

    def lengths(self, values: Any) -> Tensor:
        """Count the steps that each sample fills, int64 [B]: all of them, or as many as its trace has."""
        filled = values.shape[1] if values.ndim == 3 else self.steps  # noqa: PLR2004 - a trace has three axes
        return torch.full((len(values),), filled, dtype=torch.int64)


class ChangeEncoder(Encoder):
    """Encodes a trace by its changes on two channels: channel n signals rises of trace n, channel N + n falls.

    Args:
        steps: number of time steps T.
        dt_s: duration of a step [s].
        threshold: theta, the change that counts, above 0.
    """

    takes: ClassVar[tuple[Form, ...]] = ("traces",)

    def __init__(self, *, steps: int, dt_s: float, threshold: float) -> None:
        super().__init__(steps=steps, dt_s=dt_s)
        self.threshold = require_number("encoder.threshold", threshold, low=0, open_low=True)

    @abstractmethod
    def changes(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Measure rises and falls [B, steps, N] of traces [B, steps, N], 0 where there is none."""

    def encode(self, values: Tensor, generator: torch.Generator) -> SparseSpikes:
        """Send rises and falls as spikes, or as how many thresholds were crossed [T, B, 2 N]."""
        changes = torch.cat(self.changes(values), 2).to(values.dtype)
        return SparseSpikes.of(over_time(changes, self.steps).transpose(0, 1))

    def channels(self, n_inputs: int) -> int:
        """Count two channels for each trace."""
        return 2 * n_inputs


ROUNDING = 1e-6
"""Steps by which a quotient of two times may miss the whole number that it is."""


def slack(values: Tensor) -> float:
    """Return how far a value in [0, 1] may miss the number that it stands for, with room for two products.

    A number like 1/3 is rounded, so that a floor or ceiling of its multiple would fall into the step beside.

    >>> third = torch.tensor(1 / 3)
    >>> torch.ceil(3 * third.double()).item(), torch.ceil(3 * third.double() * (1 - slack(third))).item()
    (2.0, 1.0)
    """
    return 2 * torch.finfo(values.dtype).eps


def form_of(values: Values) -> Form:
    """Name the form that samples have: values, traces or spikes.

    >>> form_of(torch.zeros(5, 2)), form_of(torch.zeros(5, 7, 2))
    ('values', 'traces')
    """
    if isinstance(values, SpikeTrains):
        return "spikes"
    return "values" if values.ndim == 2 else "traces"  # noqa: PLR2004 - samples and inputs


def over_time(values: Tensor, steps: int) -> Tensor:
    """Repeat values [B, N] in every step, or pad traces [B, S, N] by zeros: [B, T, N]."""
    if values.ndim == 2:  # noqa: PLR2004 - samples and inputs
        return values.unsqueeze(1).expand(-1, steps, -1)
    return torch.nn.functional.pad(values, (0, 0, 0, steps - values.shape[1]))


def drawn(probability: Tensor, steps: int, generator: torch.Generator) -> SparseSpikes:
    """Draw independent spikes [T, B, N] of these probabilities, in every step [B, N] or of each [B, S, N].

    The numbers are drawn sample by sample, so that the code does not depend on the batch.
    """
    batch, channels = probability.shape[0], probability.shape[-1]
    chance = torch.rand((batch, steps, channels), generator=generator, dtype=torch.float32)
    fires = chance.to(probability.device) < over_time(probability, steps)
    step, sample, channel = fires.transpose(0, 1).nonzero(as_tuple=True)
    shape = (steps, batch, channels)
    return SparseSpikes.from_rows(step * batch + sample, channel, None, shape, probability.dtype)


def packed(step: Tensor, fires: Tensor, steps: int, dtype: torch.dtype) -> SparseSpikes:
    """Pack at most one spike a channel as events [T, B, M], from the step of each channel.

    Args:
        step: floats or whole numbers [B, M]; what is not in 0..steps - 1 is silent.
        fires: bool [B, M].
        steps: T.
        dtype: of the dense form.
    """
    events = packed_steps(step, fires, steps, dtype)
    if events is not None:
        return events
    batch, channels = step.shape
    position = _true_positions(fires & (step >= 0) & (step < steps))
    when = step.reshape(-1)[position].to(_short(steps))
    order = stable_order(when)
    position = position[order]
    sample = position // channels
    row = when[order].long() * batch + sample
    return SparseSpikes.from_rows(row, position - sample * channels, None, (steps, batch, channels), dtype)


def in_order(
    step: Tensor,
    sample: Tensor,
    channel: Tensor,
    shape: tuple[int, int, int],
    dtype: torch.dtype,
    value: Tensor | None = None,
) -> SparseSpikes:
    """Pack spikes as events, given in the order of samples and, within one, of channels.

    Args:
        step: of each spike, within 0..T - 1.
        sample: of each spike, ascending.
        channel: of each spike, ascending within a sample.
        shape: (T, B, M).
        dtype: of the dense form.
        value: of each spike, or None where all are 1.
    """
    order = stable_order(step.to(_short(shape[0])))
    row = (step.long() * shape[1] + sample)[order]
    return SparseSpikes.from_rows(row, channel[order], None if value is None else value[order], shape, dtype)


def one_a_step(trains: SpikeTrains, dt_s: float, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """List step, sample and channel of the spikes before each sample's length, several in a step as one.

    In the order of samples and, within one, of channels and steps.
    """
    step, sample = trains.step_of(dt_s), trains.sample()
    keep = step < lengths[sample]
    steps = int(lengths.max()) if len(lengths) else 1
    key = (sample[keep] * trains.n_channels + trains.channel[keep]) * steps + step[keep]
    train, step = np.divmod(np.unique(key.numpy()), steps)
    sample, channel = np.divmod(train, trains.n_channels)
    return torch.from_numpy(step), torch.from_numpy(sample), torch.from_numpy(channel)


def filled_steps(trains: SpikeTrains, dt_s: float, steps: int, *, crop: bool) -> Tensor:
    """Count the steps within each sample's duration, int64 [B], at most `steps` where `crop` drops the rest."""
    filled = trains.steps(dt_s)
    return filled.clamp(max=steps) if crop else filled


def stable_order(key: Tensor) -> Tensor:
    """Sort whole numbers, giving positions; equals keep their order, and short types are fastest in NumPy."""
    if key.device.type == "cpu":
        return torch.from_numpy(np.argsort(key.numpy(), kind="stable"))
    return torch.argsort(key, stable=True)


def _short(steps: int) -> torch.dtype:
    """Return the smallest integer type that holds 0..steps - 1."""
    fitting = (kind for kind in (torch.uint8, torch.int16) if steps - 1 <= torch.iinfo(kind).max)
    return next(fitting, torch.int64)


def _true_positions(mask: Tensor) -> Tensor:
    """Find the positions of True in the flattened mask, ascending."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.reshape(-1).nonzero().squeeze(1)
