"""The base class of data sets of spoken words: one .wav file a sample, converted to spikes."""

import math
import wave
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sgbench.datasets.base import Split
from sgbench.datasets.event_files import EventFiles
from sgbench.datasets.formats.event_store import Recording
from sgbench.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ERB_SLOPE, ERB_KNEE = (21.4, 0.00437)  # of the scale of equivalent rectangular bandwidths (ERB), Glasberg & Moore
MICRO = 1e-6


@dataclass(frozen=True)
class FrontEnd:
    r"""Converts sound to spikes by a simple model of the cochlea with one neuron a channel.

    The sound x is centred and scaled to a root mean square of `level`. Channel c filters it with a fourth-order
    gammatone g_c of centre frequency f_c; the f_c are evenly spaced on the scale
    :math:`E(f) = 21.4 \log_{10}(1 + 0.00437 f)` of equivalent rectangular bandwidths, f in Hz. The positive part is
    compressed, as by hair cells, and averaged over each step of duration Delta. The average y drives a neuron:

    .. math:: y = \overline{\max(0, g_c * x)^{0.4}}, \qquad v \leftarrow v e^{-\Delta / \tau} + \kappa y

    It fires when :math:`v \ge 1` and its last spike is at least `refractory_s` ago; then v becomes 0. A spike lies
    at the beginning of its step. Nothing is random.

    Source: Slaney 1993, Apple Technical Report 35 (the filters, as in SciPy); Glasberg & Moore 1990, Hearing
    Research 47 (the scale); Cramer et al. 2022, IEEE TNNLS 33(7) (the idea, with a physical model of the cochlea).

    >>> front_end = FrontEnd(rate_hz=8000, channels=3)
    >>> [round(f) for f in front_end.centres_hz()]
    [80, 887, 3800]
    >>> time_us, channel = front_end.spikes([np.sin(2 * np.pi * 887 * np.arange(400) / 8000)])[0]
    >>> int(np.bincount(channel, minlength=3).argmax()), int(time_us.max()) < 50_000
    (1, True)
    """

    rate_hz: int  # sampling rate of the sound
    low_hz: float = 80.0  # centre frequency of the first channel
    high_hz: float = 3800.0  # centre frequency of the last channel, below rate_hz / 2
    channels: int = 64  # N
    level: float = 0.1  # root mean square to which a sound is scaled
    exponent: float = 0.4  # of the compression
    step_s: float = 0.0005  # Delta, a whole number of samples
    tau_s: float = 0.005  # time constant of the neurons
    gain: float = 1.0  # kappa
    refractory_s: float = 0.002  # time after a spike in which a neuron integrates but does not fire

    def __post_init__(self) -> None:
        for unit, number in (("samples", self.step_s * self.rate_hz), ("microseconds", self.step_s / MICRO)):
            if abs(number - round(number)) > MICRO or round(number) < 1:
                raise InputError(f"front end: a step of {self.step_s:g} s is no whole number of {unit}")
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
        """Compute y, the drive of each neuron in each step [steps, sounds, channels]; 0 after a sound's end."""
        from scipy.signal import gammatone, lfilter

        steps = [self.steps(sound) for sound in sounds]
        samples_per_step = round(self.step_s * self.rate_hz)
        padded = np.zeros((len(sounds), max(steps) * samples_per_step))
        for row, sound, count in zip(padded, sounds, steps, strict=True):
            row[: count * samples_per_step] = levelled(sound, self.level)[: count * samples_per_step]
        drive = np.empty((max(steps), len(sounds), self.channels))
        for channel, centre_hz in enumerate(self.centres_hz()):
            filtered = lfilter(*gammatone(centre_hz, "iir", fs=self.rate_hz), padded)
            compressed = np.maximum(filtered, 0) ** self.exponent
            drive[:, :, channel] = compressed.reshape(len(sounds), -1, samples_per_step).mean(2).T
        drive[np.arange(max(steps))[:, None] >= np.array(steps)] = 0
        return drive

    def spikes(self, sounds: Sequence[Floats]) -> list[tuple[Ints, Ints]]:
        """Return the times [us] and channels of the spikes of each sound, sorted by time."""
        decay, refractory = math.exp(-self.step_s / self.tau_s), round(self.refractory_s / self.step_s)
        step, sound, channel = np.nonzero(fired(self.gain * self.drive(sounds), decay, refractory))
        steps = np.array([self.steps(waveform) for waveform in sounds])
        inside = step < steps[sound]
        step, sound, channel = step[inside], sound[inside], channel[inside]
        of_sound = [sound == index for index in range(len(sounds))]
        return [(step[mask] * self.step_us, channel[mask]) for mask in of_sound]


def evenly_heard_hz(low_hz: float, high_hz: float, channels: int) -> Floats:
    """Compute frequencies [Hz] from low to high [channels], evenly spaced in equivalent rectangular bandwidths."""
    low, high = (ERB_SLOPE * math.log10(1 + ERB_KNEE * f) for f in (low_hz, high_hz))
    return (10 ** (np.linspace(low, high, channels) / ERB_SLOPE) - 1) / ERB_KNEE


def fired(drive: Floats, decay: float, refractory: int) -> NDArray[np.bool_]:
    """Run leaky integrate-and-fire neurons with threshold 1 and reset to 0; return their spikes [steps, ...].

    `drive`: input of each neuron in each step [steps, ...]; `decay`: factor of the potential from step to step;
    `refractory`: least number of steps from a spike to the next.
    """
    v, since = np.zeros(drive.shape[1:]), np.full(drive.shape[1:], refractory)
    spikes = np.zeros(drive.shape, dtype=np.bool_)
    for step_drive, spike in zip(drive, spikes, strict=True):
        v = v * decay + step_drive
        np.logical_and(v >= 1, since >= refractory, out=spike)
        v[spike] = 0
        since += 1
        since[spike] = 1
    return spikes


def levelled(sound: Floats, level: float) -> Floats:
    centred = sound - sound.mean()
    return level * centred / (math.sqrt(float(np.mean(centred**2))) + 1e-9)


def in_batches(front_end: FrontEnd, sounds: Iterable[Floats], size: int) -> Iterator[tuple[Floats, Ints, Ints]]:
    """Yield each sound with the times [us] and channels of its spikes; `size` sounds are computed at a time."""
    batch: list[Floats] = []
    for sound in sounds:
        batch.append(sound)
        if len(batch) == size:
            yield from _with_spikes(front_end, batch)
            batch = []
    if batch:
        yield from _with_spikes(front_end, batch)


def _with_spikes(front_end: FrontEnd, batch: list[Floats]) -> Iterator[tuple[Floats, Ints, Ints]]:
    """Yield each sound of a batch with the times [us] and channels of its spikes."""
    for sound, (time_us, channel) in zip(batch, front_end.spikes(batch), strict=True):
        yield sound, time_us, channel


FULL_SCALE = 32768.0
BYTES = 2  # of a sample
MOST_S = 60.0  # longest sound that is read


def read_wav(path: Path, rate_hz: int) -> NDArray[np.float64]:
    """Read a .wav file of 16 bits as numbers between -1 and 1; InputError if it is damaged or has another rate."""
    try:
        with wave.open(str(path), "rb") as file:
            _require_form(file, path, rate_hz)
            count = file.getnframes()
            data = file.readframes(count)
    except (wave.Error, EOFError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split()) or "it ends too early"
        raise InputError(f"{path}: no whole .wav file ({reason}); fetch it again") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(data) != BYTES * count:
        raise InputError(f"{path}: holds {len(data) // BYTES} of {count} samples, cut off; fetch it again")
    if not count:
        raise InputError(f"{path}: holds no sound; fetch it again")
    return np.frombuffer(data, "<i2").astype(np.float64) / FULL_SCALE


def _require_form(file: Any, path: Path, rate_hz: int) -> None:
    """Raise InputError unless an open .wav file has one channel, 16 bits, this rate and at most 60 s."""
    form = (file.getnchannels(), file.getsampwidth(), file.getframerate())
    if form != (1, BYTES, rate_hz):
        raise InputError(
            f"{path}: {form[0]} channels of {8 * form[1]} bits at {form[2]} Hz, not 1 of 16 at {rate_hz}; "
            f"it is another file than the published one"
        )
    if file.getnframes() > MOST_S * rate_hz:
        raise InputError(f"{path}: declares more than {MOST_S:g} s; it is another file than the published one")


AT_ONCE = 16  # sounds that are converted together


class Utterance(NamedTuple):
    """Describes one spoken word, as read from the name of its file."""

    name: str  # of the file, relative to the data set's folder
    label: int  # class
    speaker: str
    number: int  # of the recording, among those of its word and speaker


class Spoken(EventFiles):
    """Loads words as spikes of the channels of a `FrontEnd`; a sample is as long as its sound."""

    front_end: ClassVar[FrontEnd]
    words: ClassVar[Sequence[str]]  # the word of each class

    @abstractmethod
    def utterances(self, root: Path) -> Mapping[Split, list[Utterance]]:
        """Map each split to its samples, in order; `root` is the data set's folder."""

    def parameters(self) -> dict[str, object]:
        return {"front_end": asdict(self.front_end)}

    def recordings(self, root: Path) -> Mapping[Split, Iterable[Recording]]:
        """Convert the sounds of each split to spikes, a few sounds at a time."""
        return {split: self._to_spikes(root, listed) for split, listed in self.utterances(root).items()}

    def _to_spikes(self, root: Path, utterances: Sequence[Utterance]) -> Iterator[Recording]:
        sounds = (read_wav(root / utterance.name, self.front_end.rate_hz) for utterance in utterances)
        encoded = in_batches(self.front_end, sounds, AT_ONCE)
        for utterance, (sound, time_us, channel) in zip(utterances, encoded, strict=True):
            duration_us = self.front_end.duration_us(sound)
            yield Recording(channel, time_us, utterance.label, duration_us, name=str(root / utterance.name))
