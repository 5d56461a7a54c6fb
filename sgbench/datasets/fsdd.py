"""The Free Spoken Digit Dataset as spikes, split by recording or by speaker."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from sgbench.datasets.base import Split
from sgbench.datasets.event_files import below
from sgbench.datasets.spoken import FrontEnd, Spoken, Utterance
from sgbench.errors import InputError, require_choice

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
NAME = re.compile(r"recordings/(\d)_([a-z]+)_(\d+)\.wav")
FIRST_VALIDATION, FIRST_TRAIN = 5, 10  # numbers of recordings; 0 to 4 are the test, 10 to 49 for training


class FsddRecordings(Spoken):
    """Reads 3000 recordings at 8 kHz, each digit spoken 50 times by six speakers; subclasses define the splits.

    Source: Jackson et al., github.com/Jakobovski/free-spoken-digit-dataset.
    """

    front_end: ClassVar[FrontEnd] = FrontEnd(rate_hz=8000)
    words: ClassVar[Sequence[str]] = [str(digit) for digit in range(10)]
    n_inputs: int = front_end.channels
    source: str = "github.com/Jakobovski/free-spoken-digit-dataset"
    folder: ClassVar[str] = "FSDD"
    by_hand: ClassVar[str] = (
        "put the folder recordings of github.com/Jakobovski/free-spoken-digit-dataset into the folder FSDD of the "
        "data root"
    )
    least: ClassVar[int] = 3000

    def originals(self, root: Path) -> list[str]:
        names = below(root / "recordings", "*.wav", self.remedy, least=self.least)
        return [f"recordings/{name}" for name in names]

    def divided(self, root: Path, split_of: Callable[[Utterance], Split]) -> dict[Split, list[Utterance]]:
        """Map each split to the recordings for which `split_of` returns it."""
        parts: dict[Split, list[Utterance]] = {"train": [], "validation": [], "test": []}
        utterances = [_utterance(name, root) for name in self.originals(root)]
        for utterance in sorted(utterances, key=lambda each: (each.speaker, each.label, each.number)):
            parts[split_of(utterance)].append(utterance)
        return parts


class Fsdd(FsddRecordings, entry="fsdd"):
    """Loads spoken digits as spikes of 64 channels, about 700 spikes a sample, split by recording.

    The official test has recordings 0 to 4 of each speaker and digit; 5 to 9 of the official training set are for
    validation. All speakers are in every split; `FsddSpeaker` tests on other speakers.
    """

    name: ClassVar[str] = "fsdd"

    def utterances(self, root: Path) -> Mapping[Split, list[Utterance]]:
        """Assign recordings to splits by their numbers."""
        return self.divided(root, _by_number)


class FsddSpeaker(FsddRecordings, entry="fsdd_speaker"):
    """Loads spoken digits as spikes of 64 channels; the speakers of validation and test are not in training.

    Args:
        test_speaker: name of the speaker of the test recordings.
        validation_speaker: name of the speaker of the validation recordings; the other four are for training.

    Raises:
        InputError: there is no speaker of a name, or both names are the same.
    """

    name: ClassVar[str] = "fsdd_speaker"

    def __init__(self, *, test_speaker: str, validation_speaker: str) -> None:
        super().__init__()
        self.test_speaker = require_choice("dataset.test_speaker", test_speaker, SPEAKERS)
        self.validation_speaker = require_choice("dataset.validation_speaker", validation_speaker, SPEAKERS)
        if test_speaker == validation_speaker:
            raise InputError(f"dataset.validation_speaker={validation_speaker!r}: is the test speaker; choose another")
        self.sha256: str | None = self.published_sha256()

    def drawn(self, seed: int) -> FsddSpeaker:
        """Return the data set with other speakers for test and validation, which the seed draws."""
        random = np.random.Generator(np.random.PCG64(seed))
        test, validation = np.argsort(random.random(len(SPEAKERS)))[:2]
        other = FsddSpeaker(test_speaker=SPEAKERS[test], validation_speaker=SPEAKERS[validation])
        other.sha256 = None
        return other

    def parameters(self) -> dict[str, object]:
        held_out = {"test_speaker": self.test_speaker, "validation_speaker": self.validation_speaker}
        return {**super().parameters(), **held_out}

    def utterances(self, root: Path) -> Mapping[Split, list[Utterance]]:
        split_of: dict[str, Split] = {self.test_speaker: "test", self.validation_speaker: "validation"}
        return self.divided(root, lambda utterance: split_of.get(utterance.speaker, "train"))


def _by_number(utterance: Utterance) -> Split:
    """Return the official split of a recording: numbers 0 to 4 are the test."""
    if utterance.number < FIRST_VALIDATION:
        return "test"
    return "validation" if utterance.number < FIRST_TRAIN else "train"


def _utterance(name: str, root: Path) -> Utterance:
    """Read digit, speaker and number from a file's name."""
    match = NAME.fullmatch(name)
    if match is None or match[2] not in SPEAKERS:
        raise InputError(
            f"{root / name}: not DIGIT_SPEAKER_NUMBER.wav of {', '.join(SPEAKERS)}; remove it from the folder"
        )
    return Utterance(name, int(match[1]), match[2], int(match[3]))
