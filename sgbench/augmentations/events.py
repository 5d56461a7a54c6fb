"""The augmentation of recorded spikes: random shifts, jitter, deletion, stretching, mirroring, crops and noise."""

import math
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from fastspiking.signals.spikes import SpikeTrains
from sgbench.augmentations.base import Augmentation
from sgbench.encoders.base import Form, Image, Values
from sgbench.errors import InputError, require_count, require_number

Numbers = NDArray[np.int64]
SEEDS = 2**62


class SampleSpikes(NamedTuple):
    """Holds the spikes of one sample."""

    channel: Numbers  # [spikes]
    time_us: Numbers  # [spikes]
    duration_us: int  # of the sample


class Events(Augmentation):
    r"""Changes each sample at random, in the order of the arguments; an argument of 0 has no effect.

    - `crop_s` [s]: a window of this length at a random time is kept, and begins at time 0;
    - `stretch`: all times are multiplied by one factor, uniform in 1 - `stretch` to 1 + `stretch`;
    - `shift_s` [s]: all times move by one amount, uniform in -`shift_s` to `shift_s`;
    - `jitter_s` [s]: each time moves by a normal number of this standard deviation, reflected at the sample's ends;
    - `delete`: each spike is removed with this probability;
    - `mirror`: with this probability, left and right are exchanged (images only);
    - `shift_channels`: all channels move by one whole number, uniform in -`shift_channels` to `shift_channels`; an
      image's pixels by one number in x and one in y;
    - `noise_hz` [Hz]: each channel gets additional spikes of a Poisson process of this rate.

    Spikes that leave the sample's duration or its channels are removed. No sample becomes longer. Each sample has a
    random generator of its own, so that the result does not depend on the batch size.

    Raises:
        InputError: a number is out of range, or `mirror` is above 0 where channels are no image.

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
        """Change the spikes of each sample at random; the number of channels and of samples stays.

        `values`: spike trains of the batch; left unchanged. `generator`: for the random numbers of one epoch. `image`:
        polarities, height and width if the channels are an image's; else None.

        Raises:
            InputError: `values` are no spikes, or `mirror` is above 0 without an image.
        """
        if not isinstance(values, SpikeTrains):
            raise InputError("augmentation=events: takes spikes; use augmentation=none")
        if self.mirror and image is None:
            raise InputError(f"augmentation.mirror={self.mirror}: the channels are no camera's; use 0")
        seeds = torch.randint(SEEDS, (len(values),), generator=generator).tolist()
        bounds = values.indptr.tolist()
        channel, time_us = (part.numpy().astype(np.int64) for part in (values.channel, values.time_us))
        varied = []
        for number, seed in enumerate(seeds):
            of_sample = slice(bounds[number], bounds[number + 1])
            spikes = SampleSpikes(channel[of_sample], time_us[of_sample], int(values.duration_us[number]))
            random = np.random.Generator(np.random.PCG64(seed))
            varied.append(self._vary_sample(spikes, random, values.n_channels, image))
        return packed(varied, values)

    def _vary_sample(
        self, spikes: SampleSpikes, random: np.random.Generator, channels: int, image: Image | None
    ) -> SampleSpikes:
        """Apply all changes to one sample of so many channels, in the order of the constructor's arguments."""
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
    """Return the spikes for which the mask `keep` [spikes] is True."""
    return spikes._replace(channel=spikes.channel[keep], time_us=spikes.time_us[keep])


def within(spikes: SampleSpikes) -> SampleSpikes:
    """Remove the spikes before time 0, and those at or after the sample's end."""
    return some(spikes, (spikes.time_us >= 0) & (spikes.time_us < spikes.duration_us))


def cropped(spikes: SampleSpikes, random: np.random.Generator, window_us: int) -> SampleSpikes:
    """Keep a window of `window_us` at a random time, which begins at 0 then; a shorter sample stays whole."""
    if spikes.duration_us <= window_us:
        return spikes
    first_us = math.floor(random.random() * (spikes.duration_us - window_us + 1))
    return within(SampleSpikes(spikes.channel, spikes.time_us - first_us, window_us))


def stretched(spikes: SampleSpikes, factor: float) -> SampleSpikes:
    """Multiply times by a factor; a shortened sample ends earlier, a lengthened one is cut off at its old end."""
    time_us = np.floor(spikes.time_us * factor).astype(np.int64)
    duration_us = min(spikes.duration_us, max(1, math.ceil(spikes.duration_us * factor)))
    return within(SampleSpikes(spikes.channel, time_us, duration_us))


def jittered(spikes: SampleSpikes, random: np.random.Generator, deviation_us: float) -> SampleSpikes:
    """Move each spike by a normal number of this standard deviation; reflect times at 0 and at the sample's end."""
    first, second = random.random((2, len(spikes.time_us)))  # uniform; normal by Box & Muller 1958
    normal = np.sqrt(-2 * np.log1p(-first)) * np.cos(2 * np.pi * second)
    last_us = max(spikes.duration_us - 1, 0)
    time_us = np.abs(np.round(spikes.time_us + deviation_us * normal))
    time_us = np.clip(last_us - np.abs(last_us - time_us), 0, last_us)
    return spikes._replace(time_us=time_us.astype(np.int64))


def moved(
    spikes: SampleSpikes, random: np.random.Generator, most: int, channels: int, image: Image | None
) -> SampleSpikes:
    """Shift all channels by one random number, or an image's pixels by one in x and one in y.

    `spikes`: of the sample. `random`: draws the shifts. `most`: largest shift in either direction. `channels`: number
    of channels; spikes shifted out of them, or out of the image, are removed. `image`: polarities, height and width if
    the channels are an image's; else None.
    """
    down, right = (np.floor(random.random(2) * (2 * most + 1)) - most).astype(np.int64)
    if image is None:
        channel = spikes.channel + right
        return some(spikes._replace(channel=channel), (channel >= 0) & (channel < channels))
    _, height, width = image
    rest, x = np.divmod(spikes.channel, width)
    y = rest % height + down
    inside = (x + right >= 0) & (x + right < width) & (y >= 0) & (y < height)
    return some(spikes._replace(channel=spikes.channel + down * width + right), inside)


def with_noise(spikes: SampleSpikes, random: np.random.Generator, rate_hz: float, channels: int) -> SampleSpikes:
    """Add spikes of a Poisson process of `rate_hz` in each of `channels` channels.

    One process of all channels is drawn by its exponential gaps; each spike then gets a random channel.
    """
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
        np.concatenate([spikes.channel, channel]), np.concatenate([spikes.time_us, time_us]), spikes.duration_us
    )


def packed(samples: list[SampleSpikes], like: SpikeTrains) -> SpikeTrains:
    """Join samples into spike trains, each sample sorted by time; channels and dtype are those of `like`."""
    indptr = np.zeros(len(samples) + 1, np.int64)
    np.cumsum([len(sample.channel) for sample in samples], out=indptr[1:])
    keys = [np.sort(sample.time_us * like.n_channels + sample.channel) for sample in samples]
    time_us, channel = np.divmod(np.concatenate([np.empty(0, np.int64), *keys]), like.n_channels)
    return SpikeTrains(
        torch.from_numpy(indptr),
        torch.from_numpy(channel.astype(np.int32)),
        torch.from_numpy(time_us.astype(np.int32)),
        torch.tensor([sample.duration_us for sample in samples], dtype=torch.int64),
        like.n_channels,
        like.dtype,
    )
