"""Digits in two languages, spoken by a speech synthesiser and converted to spikes, in the format of SHD."""

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from fastspiking.signals.spikes import SpikeTrains
from sgbench.datasets import espeak
from sgbench.datasets.base import Samples, Split, sizes
from sgbench.datasets.event_files import FileToFetch
from sgbench.datasets.formats.spike_hdf5 import write
from sgbench.datasets.shd import Shd
from sgbench.datasets.spoken import ERB_KNEE, MICRO, Floats, Ints, evenly_heard_hz, fired, levelled
from sgbench.errors import InputError, require_count

GRID = 2.0**16  # drives of neurons are rounded to multiples of 1 / GRID, so that all processors agree on spikes
ERB_AT_0_HZ = 24.7  # the equivalent rectangular bandwidth at f is 24.7 (1 + ERB_KNEE f) Hz
ORDER, WIDTH = (4, 1.019)  # of a gammatone: order, and bandwidth b relative to the equivalent rectangular bandwidth


@dataclass(frozen=True)
class InnerEar:
    r"""Converts sound to spikes by a simple model of the inner ear with many channels.

    The sound is centred and scaled to a root mean square of `level`; X(f) is its Fourier transform. Channel c has a
    fourth-order gammatone band B_c around its centre frequency :math:`f_c`; centres are evenly spaced on the scale
    of equivalent rectangular bandwidths. The band is sampled as an analytic signal once a step of duration Delta,
    so it is cut to a width of 1 / Delta. Its magnitude drives a neuron of potential v:

    .. math:: B_c(f) = X(f) \left(1 + \mathrm{i}\,\frac{f - f_c}{b_c}\right)^{-4},
        \quad b_c = 1.019 \cdot 24.7 (1 + 0.00437 f_c),
        \qquad v \leftarrow v e^{-\Delta / \tau} + \kappa \sqrt{|B_c|}

    The neuron fires when :math:`v \ge 1` and its last spike is at least `refractory_s` ago; then v becomes 0.
    Nothing is random. The model of Cramer et al. has a hydrodynamic membrane, hair cells with a pool of transmitter
    and bushy cells instead of filters, a square root and leaky neurons. Frequencies, level, step and the neurons'
    constants are chosen here. The phase of low tones is lost.

    Source: Patterson et al. 1992, Auditory Physiology and Perception (gammatone); Glasberg & Moore 1990, Hearing
    Research 47 (bandwidths); Cramer et al. 2022, IEEE TNNLS 33(7) (the idea, and 700 channels).

    >>> ear = InnerEar(rate_hz=8000, high_hz=3000, channels=3)
    >>> [round(f) for f in ear.centres_hz()]
    [60, 737, 3000]
    >>> time_us, channel = ear.spikes([np.sin(2 * np.pi * 753 * np.arange(800) / 8000)])[0]
    >>> int(np.bincount(channel, minlength=3).argmax()), int(time_us.max()) < 100_000
    (1, True)
    """

    rate_hz: int = 22050  # sampling rate of the sound
    low_hz: float = 60.0  # centre frequency of the first channel
    high_hz: float = 9500.0  # centre frequency of the last channel
    channels: int = 700
    level: float = 0.1  # root mean square to which a sound is scaled
    step_s: float = 0.001  # Delta
    tau_s: float = 0.005  # time constant of the neurons
    gain: float = 1.1  # kappa
    refractory_s: float = 0.002  # time after a spike in which a neuron does not fire

    def centres_hz(self) -> Floats:
        """Compute the centre frequency of each channel [channels] [Hz]."""
        return evenly_heard_hz(self.low_hz, self.high_hz, self.channels)

    def block(self) -> tuple[int, int]:
        """Return the smallest number of samples that fills whole steps, and the number of those steps."""
        samples_per_step = Fraction(self.rate_hz) * Fraction(round(self.step_s / MICRO), 10**6)
        return samples_per_step.numerator, samples_per_step.denominator

    def blocks(self, sound: NDArray[np.floating]) -> int:
        """Count the blocks, as of `block`, that a sound fills; the last may be partly filled."""
        return -(-len(sound) // self.block()[0])

    def bands(self, blocks: int) -> tuple[Ints, NDArray[Any]]:
        """Return which frequencies of a sound of so many blocks make up each channel, and their weights.

        Both are [channels, steps]: indices into the sound's real Fourier transform, and complex weights, in the
        order that the inverse transform expects.
        """
        samples, steps = (count * blocks for count in self.block())
        spacing_hz = self.rate_hz / samples
        centre = self.centres_hz()[:, None]
        offset = np.fft.ifftshift(np.arange(steps) - steps // 2)  # from the centre frequency
        index = np.round(centre / spacing_hz).astype(np.int64) + offset
        inside = (index > 0) & (index <= samples // 2)
        bandwidth_hz = WIDTH * ERB_AT_0_HZ * (1 + ERB_KNEE * centre)
        one_pole = 1 / (1 + 1j * (index * spacing_hz - centre) / bandwidth_hz)
        weight = inside * one_pole**ORDER * (2 * steps / samples)
        return np.clip(index, 0, samples // 2), weight

    def spikes(self, sounds: Sequence[Floats]) -> list[tuple[Ints, Ints]]:
        """Return the times [us] and channels of the spikes of each sound, sorted by time.

        Sounds of one length are computed together; no sound's spikes depend on another.
        """
        counts = np.array([self.blocks(sound) for sound in sounds])
        found: dict[int, tuple[Ints, Ints]] = {}
        decay, refractory = math.exp(-self.step_s / self.tau_s), round(self.refractory_s / self.step_s)
        for blocks in np.unique(counts).tolist():
            of_length = np.flatnonzero(counts == blocks).tolist()
            drive = self._drive([sounds[index] for index in of_length], blocks)
            spikes = fired(drive, decay, refractory)
            for row, index in enumerate(of_length):
                step, channel = np.nonzero(spikes[:, row])
                time_us = step * round(self.step_s / MICRO)
                inside = time_us * self.rate_hz < len(sounds[index]) * 10**6
                found[index] = (time_us[inside], channel[inside])
        return [found[index] for index in range(len(sounds))]

    def _drive(self, sounds: Sequence[Floats], blocks: int) -> Floats:
        """Compute each neuron's drive in each step [steps, sounds, channels]; every sound fills `blocks` blocks."""
        from scipy.fft import ifft, rfft

        frequency, weight = self.bands(blocks)
        samples, steps = (count * blocks for count in self.block())
        drive = np.empty((steps, len(sounds), self.channels))
        for index, sound in enumerate(sounds):
            padded = np.zeros(samples)
            padded[: len(sound)] = levelled(sound, self.level)
            band = np.asarray(ifft(np.asarray(rfft(padded))[frequency] * weight, axis=1))
            envelope = np.sqrt(np.real(band) ** 2 + np.imag(band) ** 2)
            drive[:, index] = np.round(GRID * self.gain * np.sqrt(envelope)).T / GRID
        return drive


LANGUAGES = ("en", "de")
DIGITS = {
    "en": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "de": ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"),
}
WORDS = [f"{language} {word}" for language in LANGUAGES for word in DIGITS[language]]
TAKES = {"train": 8156, "test": 2264}  # recordings ("takes") in each file, as in SHD
UNKNOWN = (4, 5)  # speakers that only the test has, as in SHD
UNKNOWN_TAKES = 43  # takes of each word by each of them; the other speakers share the rest of the test
SEED = 20200309  # of pitches, speeds and noise
NOISE = 0.03  # root mean square of white noise, relative to that of the word
# Variation of takes: largest deviation from the speaker's pitch, pitch ranges, largest relative deviation of speed.
PITCHES, RANGES, SPEEDS = 15, (20, 80), 0.25
AT_ONCE = 256  # takes that are converted to spikes together
PROCESSES = 6  # of espeak-ng at a time


class Voice(NamedTuple):
    """Describes a speaker by the mean settings of espeak-ng, from which each take deviates."""

    variant: str  # voice variant of espeak-ng
    pitch: int  # 0 to 99
    words_a_minute: int


VOICES = (
    Voice("m1", 45, 115),
    Voice("f1", 55, 110),
    Voice("m3", 40, 105),
    Voice("f2", 50, 120),
    Voice("m7", 45, 110),  # unknown until the test
    Voice("f4", 50, 115),  # unknown until the test
    Voice("Andy", 40, 120),
    Voice("anika", 55, 105),
    Voice("Alex", 50, 110),
    Voice("linda", 45, 115),  # validates
    Voice("edward", 45, 100),
    Voice("steph", 50, 110),
)


class Take(NamedTuple):
    """Describes one recording of a word."""

    speaker: int  # index in VOICES
    label: int  # index in WORDS
    number: int  # of the recording, among those of its word and speaker


class SpokenTwin(Shd, entry="spoken_twin"):
    """Loads English and German digits spoken by espeak-ng, as spikes of the 700 channels of `InnerEar`.

    Format, size, split and number of speakers are those of SHD; two speakers are in the test only. It is another
    data set, so accuracies on it and on SHD differ. `make` writes the files: the same version of espeak-ng gives
    the same bytes.

    Args:
        espeak_ng: version of espeak-ng that made the files, e.g. "1.52.0".
        first: number of recordings to make for each file, for a quick trial; None for all.

    Raises:
        InputError: `validation_speakers` is not a list of whole numbers, or `first` is below the number of pairs of
            speaker and word.

    Source: Cramer, Stradmann, Schemmel & Zenke 2022, IEEE TNNLS 33(7) (format, size, split); espeak-ng (speech).
    """

    source: str = "espeak-ng, as sgbench data make spoken_twin writes it"
    name: ClassVar[str] = "spoken_twin"
    folder: ClassVar[str] = "spoken_twin"
    made_here: ClassVar[bool] = True
    recorded: ClassVar[Mapping[tuple[Split, ...], int]] = {}
    downloads: ClassVar[tuple[FileToFetch, ...]] = ()
    ear: ClassVar[InnerEar] = InnerEar(rate_hz=espeak.RATE_HZ)

    def __init__(self, *, validation_speakers: list[int], espeak_ng: str, first: int | None) -> None:
        super().__init__(validation_speakers=validation_speakers)
        self.espeak_ng = str(espeak_ng)
        self.first = None if first is None else require_count("dataset.first", first, low=len(pairs("test")))
        suffix = "" if first is None else f"_first{first}"
        start = f"espeak_ng_{espeak_ng}{suffix}"
        self.files = (f"{start}_train.h5", f"{start}_test.h5")
        if first is not None:
            self.sizes: Mapping[Split, int] = sizes(0, 0, 0)
        self.sha256: str | None = self.published_sha256()

    @property
    def remedy(self) -> str:
        option = "" if self.first is None else f" --first {self.first}"
        return f"run: sgbench data make {self.name}{option}"

    def make(self, data_dir: Path) -> Iterator[str]:
        """Generate the speech of all takes, convert it to spikes and write both files; yield a line for each."""
        found = espeak.version()
        if found != self.espeak_ng:
            raise InputError(
                f"espeak-ng {found} speaks otherwise than {self.espeak_ng}, of which the published checksum is; "
                f"copy conf/dataset/{self.name}.yaml to an entry of your own with espeak_ng: {found}"
            )
        for split, name in zip(TAKES, self.files, strict=True):
            listed = takes(split)[: self.first]
            path = data_dir / self.folder / name
            write(
                path,
                self._record(split, listed),
                words=WORDS,
                speakers=[VOICES[take.speaker].variant for take in listed],
                numbers=[take.number for take in listed],
                known=[voice.variant for voice in VOICES],
                made_by=f"espeak-ng {found}",
            )
            yield f"{path}: {len(listed)} recordings"

    def _record(self, split: str, listed: list[Take]) -> Samples:
        """Generate the speech of the listed takes and convert it to spikes; return them in the same order."""
        spikes: list[tuple[NDArray[np.int32], NDArray[np.int32]]] = []  # times [us] and channels of each take
        duration_us: list[int] = []
        parts = [listed[first : first + AT_ONCE] for first in range(0, len(listed), AT_ONCE)]
        with ThreadPoolExecutor(PROCESSES) as pool:  # threads wait for espeak-ng while this one converts
            spoken = [[pool.submit(sound, split, take) for take in part] for part in parts]
            for part in spoken:
                sounds = [take.result() for take in part]
                spikes += [
                    (time_us.astype(np.int32), channel.astype(np.int32)) for time_us, channel in self.ear.spikes(sounds)
                ]
                duration_us += [len(each) * 10**6 // self.ear.rate_hz for each in sounds]
                part.clear()  # frees the sounds
        counts = [len(channel) for _, channel in spikes]
        trains = SpikeTrains(
            torch.from_numpy(np.concatenate([[0], np.cumsum(counts)])),
            torch.from_numpy(np.concatenate([channel for _, channel in spikes])),
            torch.from_numpy(np.concatenate([time_us for time_us, _ in spikes])),
            torch.tensor(duration_us),
            self.n_inputs,
        )
        return Samples(trains, torch.tensor([take.label for take in listed]), None)


def pairs(split: str) -> list[tuple[int, int]]:
    """List all pairs (speaker, label) of the file of a split, those of speakers in both files first."""
    known = [speaker for speaker in range(len(VOICES)) if speaker not in UNKNOWN]
    speakers = known if split == "train" else [*known, *UNKNOWN]
    return [(speaker, label) for speaker in speakers for label in range(len(WORDS))]


def takes(split: str) -> list[Take]:
    """List the recordings of a file: the first of each pair of speaker and word, then the second, and so on.

    Speakers of the test alone say each word 43 times; the other pairs have equally many, to within one recording.

    >>> len(takes("train")), len(takes("test")), sum(take.speaker in UNKNOWN for take in takes("test"))
    (8156, 2264, 1720)
    """
    of_file = pairs(split)
    known = [pair for pair in of_file if pair[0] not in UNKNOWN]
    left = TAKES[split] - UNKNOWN_TAKES * (len(of_file) - len(known))
    ends = [left * k // len(known) for k in range(len(known) + 1)]
    counts = dict(zip(known, np.diff(ends).tolist(), strict=True))
    by_pair = [
        Take(speaker, label, number)
        for speaker, label in of_file
        for number in range(counts.get((speaker, label), UNKNOWN_TAKES))
    ]
    return sorted(by_pair, key=lambda take: take.number)


def sound(split: str, take: Take) -> NDArray[np.float64]:
    """Generate the speech of a take and add white noise; return samples at 22050 Hz, in units of 16-bit sound.

    Pitch, pitch range, speed and noise are drawn for each take from a seed of its own; pitch and speed uniformly
    around the speaker's.
    """
    stream = [SEED, list(TAKES).index(split), take.speaker, take.label, take.number]
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(stream)))
    pitch, span, speed = random.random(3)
    voice = VOICES[take.speaker]
    language, word = WORDS[take.label].split()
    spoken = espeak.say(
        espeak.Saying(
            word=word,
            language=language,
            variant=voice.variant,
            pitch=voice.pitch + round((2 * pitch - 1) * PITCHES),
            pitch_range=RANGES[0] + round(span * (RANGES[1] - RANGES[0])),
            words_a_minute=round(voice.words_a_minute * (1 + (2 * speed - 1) * SPEEDS)),
        )
    )
    clean = spoken.astype(np.float64)
    level = NOISE * np.sqrt(np.mean(clean**2))
    unit_noise = np.sqrt(12) * (random.random(len(clean)) - 0.5)  # uniform, of root mean square 1
    return clean + level * unit_noise
