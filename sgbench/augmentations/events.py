"""Recorded spikes, shifted, jittered, thinned, stretched, mirrored and cropped at random."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sgbench.augmentations.base import Augmentation
from sgbench.encoders.base import Form, Image, Values
from sgbench.errors import InputError, require_count, require_number
from sgbench.signals.spike_trains import SpikeTrains

Numbers = NDArray[np.int64]
SEEDS = 2**62


class SampleSpikes(NamedTuple):
    """Holds the spikes of one sample."""

    channel: Numbers
    time_us: Numbers
    duration_us: int


class Events(Augmentation):
    r"""Changes each sample at random, in the order of the arguments; an argument of 0 changes and draws nothing.

    - `crop_s`: a window of this length at a random time is kept, and begins at 0;
    - `stretch`: times are multiplied by one factor, even in :math:`[1 - a, 1 + a]`;
    - `shift_s`: all times move by the same, even in :math:`[-s, s]`;
    - `jitter_s`: each time moves by a normal number of this standard deviation, and is reflected at both ends;
    - `delete`: each spike is lost with this probability;
    - `mirror`: with this probability left is right, of a camera;
    - `shift_channels`: all channels move by the same whole number in :math:`[-k, k]`, a camera's in x and y;
    - `noise_hz`: each channel spikes in addition, as a Poisson process of this rate.

    Spikes that leave the sample's duration or its channels are lost. No sample becomes longer. Everything is made
    of evenly distributed doubles of PCG64, one generator a sample, so that the batch size does not matter.

    Raises:
        InputError: a number out of range; a mirror where there is no camera.

    Source: Cramer et al. 2022, IEEE Transactions on Neural Networks and Learning Systems 33(7) (noise, jitter and
    channel shifts of the Heidelberg digits); Li et al. 2022, European Conference on Computer Vision (mirror and
    shift of recordings of event cameras).

    >>> trains = SpikeTrains.of([0, 0, 1], [0, 1, 1], [100, 200, 300], [1000, 1000], 2)
    >>> plain = dict(crop_s=0.0, stretch=0.0, shift_s=0.0, jitter_s=0.0, mirror=0.0, shift_channels=0, noise_hz=0.0)
    >>> len(Events(delete=1.0, **plain).vary(trains, torch.Generator(), None).channel)
    0
    """

    takes: ClassVar[tuple[Form, ...]] = ("spikes",)

    def __init__(
        self,
        *,
        crop_s: float,
        stretch: float,
        shift_s: float,
        jitter_s: float,
        delete: float,
        mirror: float,
        shift_channels: int,
        noise_hz: float,
    ) -> None:
        self.crop_us = round(require_number("augmentation.crop_s", crop_s, low=0) * 1e6)
        self.stretch = require_number("augmentation.stretch", stretch, low=0, high=0.99)
        self.shift_us = round(require_number("augmentation.shift_s", shift_s, low=0) * 1e6)
        self.jitter_us = require_number("augmentation.jitter_s", jitter_s, low=0) * 1e6
        self.delete = require_number("augmentation.delete", delete, low=0, high=1)
        self.mirror = require_number("augmentation.mirror", mirror, low=0, high=1)
        self.shift_channels = require_count("augmentation.shift_channels", shift_channels, low=0)
        self.noise_hz = require_number("augmentation.noise_hz", noise_hz, low=0)

    def vary(self, values: Values, generator: torch.Generator, image: Image | None) -> SpikeTrains:
        """Move, thin, stretch, mirror and crop each sample's spikes; channels and number of samples stay."""
        if not isinstance(values, SpikeTrains):
            raise InputError("augmentation=events: takes spikes; use augmentation=none")
        if self.mirror and image is None:
            raise InputError(f"augmentation.mirror={self.mirror}: the channels are no camera's; use 0")
        seeds = torch.randint(SEEDS, (len(values),), generator=generator).tolist()
        bounds = values.indptr.tolist()
        channel, time_us = (part.numpy().astype(np.int64) for part in (values.channel, values.time_us))
        varied = []
        for number, seed in enumerate(seeds):
            own = slice(bounds[number], bounds[number + 1])
            spikes = SampleSpikes(channel[own], time_us[own], int(values.duration_us[number]))
            random = np.random.Generator(np.random.PCG64(seed))
            varied.append(self._one(spikes, random, values.n_channels, image))
        return packed(varied, values)

    def _one(
        self, spikes: SampleSpikes, random: np.random.Generator, channels: int, image: Image | None
    ) -> SampleSpikes:
        if self.crop_us:
            spikes = cropped(spikes, random, self.crop_us)
        if self.stretch:
            spikes = stretched(spikes, 1 + self.stretch * (2 * random.random() - 1))
        if self.shift_us:
            by_us = math.floor((2 * random.random() - 1) * (self.shift_us + 1))
            spikes = within(spikes._replace(time_us=spikes.time_us + by_us))
        if self.jitter_us:
            spikes = jittered(spikes, random, self.jitter_us)
        if self.delete:
            spikes = some(spikes, random.random(len(spikes.channel)) >= self.delete)
        if self.mirror and image is not None and random.random() < self.mirror:
            x = spikes.channel % image[2]
            spikes = spikes._replace(channel=spikes.channel + image[2] - 1 - 2 * x)
        if self.shift_channels:
            spikes = moved(spikes, random, self.shift_channels, channels, image)
        return with_noise(spikes, random, self.noise_hz, channels) if self.noise_hz else spikes


def some(spikes: SampleSpikes, keep: NDArray[np.bool_]) -> SampleSpikes:
    """Keep the spikes that a mask marks."""
    return spikes._replace(channel=spikes.channel[keep], time_us=spikes.time_us[keep])


def within(spikes: SampleSpikes) -> SampleSpikes:
    """Keep the spikes from 0 to the sample's end; the end itself belongs to no step."""
    return some(spikes, (spikes.time_us >= 0) & (spikes.time_us < spikes.duration_us))


def cropped(spikes: SampleSpikes, random: np.random.Generator, window_us: int) -> SampleSpikes:
    """Cut a window out at a random time; a sample that is no longer stays whole."""
    if spikes.duration_us <= window_us:
        return spikes
    first_us = math.floor(random.random() * (spikes.duration_us - window_us + 1))
    return within(SampleSpikes(spikes.channel, spikes.time_us - first_us, window_us))


def stretched(spikes: SampleSpikes, factor: float) -> SampleSpikes:
    """Multiply times by a factor; a shorter sample ends earlier, a longer one loses what lies beyond the end."""
    time_us = np.floor(spikes.time_us * factor).astype(np.int64)
    duration_us = min(spikes.duration_us, max(1, math.ceil(spikes.duration_us * factor)))
    return within(SampleSpikes(spikes.channel, time_us, duration_us))


def jittered(spikes: SampleSpikes, random: np.random.Generator, deviation_us: float) -> SampleSpikes:
    """Move each spike by a normal number (Box and Muller 1958), reflected at 0 and at the end."""
    first, second = random.random((2, len(spikes.time_us)))
    normal = np.sqrt(-2 * np.log1p(-first)) * np.cos(2 * np.pi * second)
    last_us = max(spikes.duration_us - 1, 0)
    time_us = np.abs(np.round(spikes.time_us + deviation_us * normal))
    time_us = np.clip(last_us - np.abs(last_us - time_us), 0, last_us)
    return spikes._replace(time_us=time_us.astype(np.int64))


def moved(
    spikes: SampleSpikes, random: np.random.Generator, most: int, channels: int, image: Image | None
) -> SampleSpikes:
    """Shift all channels by one number, or all pixels by one in x and one in y; what leaves is lost."""
    down, right = (np.floor(random.random(2) * (2 * most + 1)) - most).astype(np.int64)
    if image is None:
        channel = spikes.channel + right
        return some(spikes._replace(channel=channel), (channel >= 0) & (channel < channels))
    _, height, width = image
    rest, x = np.divmod(spikes.channel, width)
    y = rest % height + down
    inside = (x + right >= 0) & (x + right < width) & (y >= 0) & (y < height)
    return some(spikes._replace(channel=spikes.channel + down * width + right), inside)


def with_noise(
    spikes: SampleSpikes, random: np.random.Generator, rate_hz: float, channels: int
) -> SampleSpikes:
    """Add spikes of a Poisson process over all channels: exponential gaps, then a channel each."""
    mean_us = 1e6 / (rate_hz * channels)
    times: list[NDArray[np.float64]] = []
    last_us = 0.0
    while last_us < spikes.duration_us:
        gaps = -mean_us * np.log1p(-random.random(int(spikes.duration_us / mean_us * 1.1) + 16))
        times.append(last_us + np.cumsum(gaps))
        last_us = float(times[-1][-1])
    time_us = np.floor(np.concatenate(times) if times else np.empty(0)).astype(np.int64)
    time_us = time_us[time_us < spikes.duration_us]
    channel = np.floor(random.random(len(time_us)) * channels).astype(np.int64)
    return SampleSpikes(
        np.concatenate([spikes.channel, channel]),
        np.concatenate([spikes.time_us, time_us]),
        spikes.duration_us,
    )


def packed(samples: list[SampleSpikes], like: SpikeTrains) -> SpikeTrains:
    """Put samples one after another into one set of trains, each in the order of time."""
    indptr = np.zeros(len(samples) + 1, np.int64)
    np.cumsum([len(own.channel) for own in samples], out=indptr[1:])
    keys = [np.sort(own.time_us * like.n_channels + own.channel) for own in samples]
    time_us, channel = np.divmod(np.concatenate([np.empty(0, np.int64), *keys]), like.n_channels)
    return SpikeTrains(
        torch.from_numpy(indptr),
        torch.from_numpy(channel.astype(np.int32)),
        torch.from_numpy(time_us.astype(np.int32)),
        torch.tensor([own.duration_us for own in samples], dtype=torch.int64),
        like.n_channels,
        like.dtype,
    )
