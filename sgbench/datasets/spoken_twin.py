"""Digits of two languages, spoken by a program and heard by a model ear, in the format of SHD."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sgbench.datasets import espeak
from sgbench.datasets.base import Samples, Split, sizes
from sgbench.datasets.event_files import FileToFetch
from sgbench.datasets.formats.spike_hdf5_writer import write
from sgbench.datasets.inner_ear import InnerEar
from sgbench.datasets.shd import Shd
from sgbench.errors import InputError, require_count
from sgbench.signals.spike_trains import SpikeTrains

LANGUAGES = ("en", "de")
DIGITS = {
    "en": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "de": ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"),
}
WORDS = [f"{language} {word}" for language in LANGUAGES for word in DIGITS[language]]
TAKES = {"train": 8156, "test": 2264}  # as SHD has
UNKNOWN = (4, 5)  # speakers whom the test alone has, as in SHD
UNKNOWN_TAKES = 43  # of a word by each of them; the others share what is left of the test
SEED = 20200309  # of pitches, speeds and noise
NOISE = 0.03  # root mean square of white noise, in that of the word
PITCHES, RANGES, SPEEDS = 15, (20, 80), 0.25  # by how much a take differs from its speaker's habit
AT_ONCE = 256  # takes that are spoken and heard together
PROCESSES = 6


class Voice(NamedTuple):
    """Describes a speaker."""

    variant: str  # of espeak-ng's voices
    pitch: int  # around which takes vary
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
    """Describes one recording: who says which word, for which time."""

    speaker: int
    label: int
    number: int


class SpokenTwin(Shd, entry="spoken_twin"):
    """Loads digits that espeak-ng speaks in English and German, as spikes of the 700 channels of `InnerEar`.

    Format, size and split are those of SHD, and so is the number of voices, two of which are heard in the test
    alone; it is another data set, and its scores are not those of SHD. `make` writes it, the same bytes with the
    same version of espeak-ng.

    Args:
        validation_speakers: numbers of the speakers of the training file that validation is made of.
        espeak_ng: version that speaks.
        first: how many takes of both files to make, to try something; None is all.

    Raises:
        InputError: no list of numbers, or fewer takes than pairs of speaker and word.

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
        part = "" if first is None else f"_first{first}"
        start = f"espeak_ng_{espeak_ng}{part}"
        self.files = (f"{start}_train.h5", f"{start}_test.h5")
        if first is not None:
            self.sizes: Mapping[Split, int] = sizes(0, 0, 0)
        self.sha256: str | None = self.published_sha256()

    @property
    def remedy(self) -> str:
        """Explain how to make the files."""
        return f"run: sgbench data make {self.name}" + (
            "" if self.first is None else f" --first {self.first}"
        )

    def make(self, data_dir: Path) -> Iterator[str]:
        """Write both files of what is spoken and heard, and yield a line for each.

        Raises:
            InputError: espeak-ng is not installed or of another version, or h5py is not installed; one line.
            StorageError: a file cannot be written.
        """
        found = espeak.version()
        if found != self.espeak_ng:
            raise InputError(
                f"espeak-ng {found} speaks otherwise than {self.espeak_ng}, of which the published checksum is; "
                f"copy conf/dataset/{self.name}.yaml to an entry of your own with espeak_ng: {found}"
            )
        for split, name in zip(TAKES, self.files, strict=True):
            own = takes(split)[: self.first]
            path = data_dir / self.folder / name
            write(
                path,
                self._record(split, own),
                words=WORDS,
                speakers=[VOICES[take.speaker].variant for take in own],
                numbers=[take.number for take in own],
                known=[voice.variant for voice in VOICES],
                made_by=f"espeak-ng {found}",
            )
            yield f"{path}: {len(own)} recordings"

    def _record(self, split: str, own: list[Take]) -> Samples:
        """Return takes as the ear hears them."""
        heard: list[tuple[NDArray[np.int32], NDArray[np.int32]]] = []
        lasts: list[int] = []
        parts = [own[first : first + AT_ONCE] for first in range(0, len(own), AT_ONCE)]
        with ThreadPoolExecutor(PROCESSES) as pool:  # each waits for a program, while this one hears
            spoken = [[pool.submit(sound, split, take) for take in part] for part in parts]
            for part in spoken:
                sounds = [take.result() for take in part]
                heard += [
                    (time_us.astype(np.int32), channel.astype(np.int32))
                    for time_us, channel in self.ear.spikes(sounds)
                ]
                lasts += [len(each) * 10**6 // self.ear.rate_hz for each in sounds]
                part.clear()
        counts = [len(channel) for _, channel in heard]
        trains = SpikeTrains(
            torch.from_numpy(np.concatenate([[0], np.cumsum(counts)])),
            torch.from_numpy(np.concatenate([channel for _, channel in heard])),
            torch.from_numpy(np.concatenate([time_us for time_us, _ in heard])),
            torch.tensor(lasts),
            self.n_inputs,
        )
        return Samples(trains, torch.tensor([take.label for take in own]), None)


def pairs(split: str) -> list[tuple[int, int]]:
    """List who says what in a file, as speaker and label: known voices, and behind them those of the test alone."""
    known = [speaker for speaker in range(len(VOICES)) if speaker not in UNKNOWN]
    speakers = known if split == "train" else [*known, *UNKNOWN]
    return [(speaker, label) for speaker in speakers for label in range(len(WORDS))]


def takes(split: str) -> list[Take]:
    """List the recordings of a file: each pair's first, each pair's second, and so on.

    Unknown voices say each word 43 times; the rest of the file is shared evenly among the others.

    >>> len(takes("train")), len(takes("test")), sum(take.speaker in UNKNOWN for take in takes("test"))
    (8156, 2264, 1720)
    """
    own = pairs(split)
    known = [pair for pair in own if pair[0] not in UNKNOWN]
    left = TAKES[split] - UNKNOWN_TAKES * (len(own) - len(known))
    ends = [left * part // len(known) for part in range(len(known) + 1)]
    counts = dict(zip(known, np.diff(ends).tolist(), strict=True))
    each = [
        Take(speaker, label, number)
        for speaker, label in own
        for number in range(counts.get((speaker, label), UNKNOWN_TAKES))
    ]
    return sorted(each, key=lambda take: take.number)


def sound(split: str, take: Take) -> NDArray[np.float64]:
    """Let espeak-ng speak a take, and add its noise.

    Pitch, range of pitch and speed are drawn evenly around the speaker's habit, for each take by itself.
    """
    stream = [SEED, list(TAKES).index(split), take.speaker, take.label, take.number]
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(stream)))
    pitch, span, speed = random.random(3)
    voice = VOICES[take.speaker]
    language, word = WORDS[take.label].split()
    said = espeak.say(
        espeak.Saying(
            word=word,
            language=language,
            variant=voice.variant,
            pitch=voice.pitch + round((2 * pitch - 1) * PITCHES),
            pitch_range=RANGES[0] + round(span * (RANGES[1] - RANGES[0])),
            words_a_minute=round(voice.words_a_minute * (1 + (2 * speed - 1) * SPEEDS)),
        )
    )
    clean = said.astype(np.float64)
    level = NOISE * np.sqrt(np.mean(clean**2))
    return clean + level * np.sqrt(12) * (random.random(len(clean)) - 0.5)
