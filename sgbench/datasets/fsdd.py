"""The Free Spoken Digit Dataset as spikes: by recording, and by speaker."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from sgbench.datasets.base import Split
from sgbench.datasets.event_files import below
from sgbench.datasets.gammatone import FrontEnd
from sgbench.datasets.spoken import Spoken, Utterance
from sgbench.errors import InputError, require_choice

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
NAME = re.compile(r"recordings/(\d)_([a-z]+)_(\d+)\.wav")
FIRST_VALIDATION, FIRST_TRAIN = 5, 10  # of 50 recordings of a digit by a speaker; those before are the test


class FsddRecordings(Spoken):
    """Holds what the two splits share: 3000 recordings, six speakers saying each digit 50 times, at 8 kHz.

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
        """List every recording's file, in order."""
        names = below(root / "recordings", "*.wav", self.remedy, least=self.least)
        return [f"recordings/{name}" for name in names]

    def all_utterances(self, root: Path) -> list[Utterance]:
        """List all recordings with the speaker, digit and number in their names, in this order."""
        utterances = [_utterance(name, root) for name in self.originals(root)]
        return sorted(
            utterances, key=lambda utterance: (utterance.speaker, utterance.label, utterance.number)
        )

    def divided(self, root: Path, split_of: Callable[[Utterance], Split]) -> dict[Split, list[Utterance]]:
        """Divide all recordings among the splits by a rule."""
        parts: dict[Split, list[Utterance]] = {"train": [], "validation": [], "test": []}
        for utterance in self.all_utterances(root):
            parts[split_of(utterance)].append(utterance)
        return parts


class Fsdd(FsddRecordings, entry="fsdd"):
    """Loads spoken digits as spikes of 64 channels, about 700 a sample, split by recording.

    The official test: recordings 0 to 4 of each speaker and digit. Of the 45 official training recordings, 5 to 9
    validate: all voices of the test are known, and so they are in validation. For unknown voices see `FsddSpeaker`.
    """

    name: ClassVar[str] = "fsdd"

    def utterances(self, root: Path) -> Mapping[Split, list[Utterance]]:
        """Assign recordings to splits by their numbers."""
        return self.divided(root, _by_number)


class FsddSpeaker(FsddRecordings, entry="fsdd_speaker"):
    """Loads spoken digits as spikes of 64 channels, about 700 a sample; test and validation are by unknown voices.

    Args:
        test_speaker: whose recordings are the test.
        validation_speaker: whose recordings validate; the other four train.

    Raises:
        InputError: nobody of this name, or twice the same.
    """

    name: ClassVar[str] = "fsdd_speaker"

    def __init__(self, *, test_speaker: str, validation_speaker: str) -> None:
        super().__init__()
        self.test_speaker = require_choice("dataset.test_speaker", test_speaker, SPEAKERS)
        self.validation_speaker = require_choice("dataset.validation_speaker", validation_speaker, SPEAKERS)
        if test_speaker == validation_speaker:
            raise InputError(
                f"dataset.validation_speaker={validation_speaker!r}: is the test speaker; choose another"
            )
        self.sha256: str | None = self.published_sha256()

    def drawn(self, seed: int) -> FsddSpeaker:
        """Return the data set with two other voices held out, drawn by the seed of a run."""
        random = np.random.Generator(np.random.PCG64(seed))
        test, validation = np.argsort(random.random(len(SPEAKERS)))[:2]
        other = FsddSpeaker(test_speaker=SPEAKERS[test], validation_speaker=SPEAKERS[validation])
        other.sha256 = None
        return other

    def parameters(self) -> dict[str, object]:
        """Return the speakers held out and the numbers of the front end."""
        held_out = {"test_speaker": self.test_speaker, "validation_speaker": self.validation_speaker}
        return {**super().parameters(), **held_out}

    def utterances(self, root: Path) -> Mapping[Split, list[Utterance]]:
        """Assign recordings to splits by speaker."""
        split_of: dict[str, Split] = {self.test_speaker: "test", self.validation_speaker: "validation"}
        return self.divided(root, lambda utterance: split_of.get(utterance.speaker, "train"))


def _by_number(utterance: Utterance) -> Split:
    """Return the split of a recording by the number in its name."""
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
