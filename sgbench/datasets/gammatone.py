"""Sound as spikes: a bank of gammatone filters, compression, leaky integrate-and-fire neurons."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgbench.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ERB_SLOPE, ERB_KNEE = 21.4, 0.00437  # of the scale of Glasberg & Moore
MICRO = 1e-6


@dataclass(frozen=True)
class FrontEnd:
    r"""Models a cochlea: sound goes in, spikes of its channels come out.

    The sound is freed of its mean and brought to a root mean square of `level`. Channel c filters it with a
    gammatone of fourth order around f_c, where the f_c lie evenly on the scale
    :math:`E(f) = 21.4 \log_{10}(1 + 0.00437 f)` of equivalent rectangular bandwidths. What is positive is
    compressed as by the hair cells and averaged over each step, and drives a neuron:

    .. math:: y = \overline{\max(0, g_c * x)^{0.4}}, \qquad v \leftarrow v e^{-\Delta / \tau} + \kappa y

    It fires where :math:`v \ge 1` and the last spike is at least `refractory_s` ago; then v is 0. Spikes lie at
    the beginning of their step. Nothing is random.

    Raises:
        InputError: a step that is no whole number of samples and of microseconds, or frequencies out of order.

    Source: Slaney 1993, Apple Technical Report 35 (the filters, as in SciPy); Glasberg & Moore 1990, Hearing
    Research 47 (the scale); Cramer et al. 2022, IEEE TNNLS 33(7) (the idea, with a physical model of the cochlea).

    >>> front_end = FrontEnd(rate_hz=8000, channels=3)
    >>> [round(f) for f in front_end.centres_hz()]
    [80, 887, 3800]
    >>> time_us, channel = front_end.spikes([np.sin(2 * np.pi * 887 * np.arange(400) / 8000)])[0]
    >>> int(np.bincount(channel, minlength=3).argmax()), int(time_us.max()) < 50_000
    (1, True)
    """

    rate_hz: int  # samples a second of the sound
    low_hz: float = 80.0  # centre of the first channel
    high_hz: float = 3800.0  # of the last, below rate_hz / 2
    channels: int = 64  # N
    level: float = 0.1  # root mean square of the sound
    exponent: float = 0.4
    step_s: float = 0.0005  # Delta, a whole number of samples
    tau_s: float = 0.005
    gain: float = 1.0  # kappa
    refractory_s: float = 0.002  # in which a neuron integrates but does not fire

    def __post_init__(self) -> None:
        for what, number in (("samples", self.step_s * self.rate_hz), ("microseconds", self.step_s / MICRO)):
            if abs(number - round(number)) > MICRO or round(number) < 1:
                raise InputError(f"front end: a step of {self.step_s:g} s is no whole number of {what}")
        if not 0 < self.low_hz < self.high_hz < self.rate_hz / 2:
            raise InputError(
                f"front end: 0 < {self.low_hz:g} < {self.high_hz:g} < {self.rate_hz / 2:g} Hz does not hold"
            )

    @property
    def step_us(self) -> int:
        """Return the duration of a step [us]."""
        return round(self.step_s / MICRO)

    def steps(self, sound: Floats) -> int:
        """Count the whole steps that a sound fills."""
        return len(sound) // round(self.step_s * self.rate_hz)

    def duration_us(self, sound: Floats) -> int:
        """Return the duration of a sound's whole steps [us], at least one step."""
        return max(1, self.steps(sound)) * self.step_us

    def centres_hz(self) -> Floats:
        """Compute the channels' centre frequencies, evenly spaced in equivalent rectangular bandwidths [Hz]."""
        return evenly_heard_hz(self.low_hz, self.high_hz, self.channels)

    def drive(self, sounds: Sequence[Floats]) -> Floats:
        """Compute what drives each neuron in each step [steps, sounds, channels], 0 after a sound's end."""
        from scipy.signal import gammatone, lfilter

        steps = [self.steps(sound) for sound in sounds]
        width = round(self.step_s * self.rate_hz)
        padded = np.zeros((len(sounds), max(steps) * width))
        for row, sound, count in zip(padded, sounds, steps, strict=True):
            row[: count * width] = levelled(sound, self.level)[: count * width]
        drive = np.empty((max(steps), len(sounds), self.channels))
        for channel, centre in enumerate(self.centres_hz()):
            filtered = (
                np.maximum(lfilter(*gammatone(centre, "iir", fs=self.rate_hz), padded), 0) ** self.exponent
            )
            drive[:, :, channel] = filtered.reshape(len(sounds), -1, width).mean(2).T
        drive[np.arange(max(steps))[:, None] >= np.array(steps)] = 0
        return drive

    def spikes(self, sounds: Sequence[Floats]) -> list[tuple[Ints, Ints]]:
        """Compute times [us] and channels of the spikes of each sound, in the order of time."""
        decay, rest = math.exp(-self.step_s / self.tau_s), round(self.refractory_s / self.step_s)
        step, sound, channel = np.nonzero(fired(self.gain * self.drive(sounds), decay, rest))
        last = np.array([self.steps(waveform) for waveform in sounds])
        inside = step < last[sound]
        step, sound, channel = step[inside], sound[inside], channel[inside]
        own = [sound == index for index in range(len(sounds))]
        return [(step[mask] * self.step_us, channel[mask]) for mask in own]


def evenly_heard_hz(low_hz: float, high_hz: float, channels: int) -> Floats:
    """Compute frequencies that lie evenly on the scale of equivalent rectangular bandwidths [Hz]."""
    low, high = (ERB_SLOPE * math.log10(1 + ERB_KNEE * f) for f in (low_hz, high_hz))
    return (10 ** (np.linspace(low, high, channels) / ERB_SLOPE) - 1) / ERB_KNEE


def fired(drive: Floats, decay: float, rest: int) -> NDArray[np.bool_]:
    """Let leaky neurons with threshold 1 fire on what drives them, at most once in `rest` steps [steps, ...]."""
    v, since = np.zeros(drive.shape[1:]), np.full(drive.shape[1:], rest)
    spikes = np.zeros(drive.shape, dtype=np.bool_)
    for now, spike in zip(drive, spikes, strict=True):
        v = v * decay + now
        np.logical_and(v >= 1, since >= rest, out=spike)
        v[spike] = 0
        since += 1
        since[spike] = 1
    return spikes


def levelled(sound: Floats, level: float) -> Floats:
    """Scale a sound to a root mean square."""
    centred = sound - sound.mean()
    return level * centred / (math.sqrt(float(np.mean(centred**2))) + 1e-9)


def in_batches(
    front_end: FrontEnd, sounds: Iterable[Floats], size: int
) -> Iterator[tuple[Floats, Ints, Ints]]:
    """Yield each sound with times [us] and channels of its spikes; sounds of a batch share work, not results."""
    batch: list[Floats] = []
    for sound in sounds:
        batch.append(sound)
        if len(batch) == size:
            yield from _with_spikes(front_end, batch)
            batch = []
    if batch:
        yield from _with_spikes(front_end, batch)


def _with_spikes(front_end: FrontEnd, batch: list[Floats]) -> Iterator[tuple[Floats, Ints, Ints]]:
    """Yield each sound of a batch with its spikes."""
    for sound, (time_us, channel) in zip(batch, front_end.spikes(batch), strict=True):
        yield sound, time_us, channel
