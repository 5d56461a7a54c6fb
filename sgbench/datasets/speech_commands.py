"""Speech Commands: spoken words, converted to spikes."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from sgbench.datasets.base import Split
from sgbench.datasets.event_files import FileToFetch, below, present
from sgbench.datasets.spoken import FrontEnd, Spoken, Utterance
from sgbench.errors import InputError

WORDS = tuple(
    """
    backward bed bird cat dog down eight five follow forward four go happy house learn left marvin nine no off on
    one right seven sheila six stop three tree two up visual wow yes zero
    """.split()  # noqa: SIM905 - a word a line would take 35 lines
)
NAME = re.compile(r"([a-z]+)/([0-9a-f]{1,16})_nohash_(\d+)\.wav")
LISTS: Mapping[Split, str] = {"validation": "validation_list.txt", "test": "testing_list.txt"}
MOST_LIST_BYTES = 16 * 1024 * 1024


class SpeechCommands(Spoken, entry="speech_commands"):
    """Loads 35 spoken words as spikes of 64 channels, at most a second each (version 0.02, the official splits).

    All recordings of a speaker are in one split, so validation and test ask for unknown voices. Background noises
    are left out. The first use converts 105829 recordings to spikes, in an hour and a half on one core.

    Source: Warden 2018, arXiv:1804.03209.
    """

    front_end: ClassVar[FrontEnd] = FrontEnd(rate_hz=16000, high_hz=7600.0)
    words: ClassVar[Sequence[str]] = WORDS
    n_inputs: int = front_end.channels
    source: str = "download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
    name: ClassVar[str] = "speech_commands"
    folder: ClassVar[str] = "speech_commands_v0.02"
    downloads: ClassVar[tuple[FileToFetch, ...]] = (
        FileToFetch(
            "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
            "speech_commands_v0.02.tar.gz",
            "6b74f3901214cb2c2934e98196829835",
            10_000_000_000,
        ),
    )
    by_hand: ClassVar[str] = (
        "or unpack download.tensorflow.org/data/speech_commands_v0.02.tar.gz into the folder speech_commands_v0.02 "
        "of the data root"
    )
    least: ClassVar[int] = 105_829

    def originals(self, root: Path) -> list[str]:
        lists = present(root, LISTS.values(), self.remedy)
        return [*lists, *below(root, "[a-z]*/*.wav", self.remedy, least=self.least)]

    def utterances(self, root: Path) -> Mapping[Split, list[Utterance]]:
        """Assign recordings to splits by the two official lists; recordings in neither list are for training."""
        parts: dict[Split, list[Utterance]] = {"train": [], "validation": [], "test": []}
        names = [name for name in self.originals(root) if name.endswith(".wav")]
        known = set(names)
        listed = {split: _read_list(root / file, known) for split, file in LISTS.items()}
        in_both = listed["validation"] & listed["test"]
        if in_both:
            raise InputError(f"{root}: {min(in_both)} is in both lists; {self.remedy}")
        for name in names:
            held_out: list[Split] = [split for split in LISTS if name in listed[split]]
            split: Split = held_out[0] if held_out else "train"
            parts[split].append(_utterance(name, root))
        return parts


def _read_list(path: Path, known: set[str]) -> set[str]:
    """Read a list of file names; raise InputError if it is damaged or a name is not among `known`."""
    try:
        if path.stat().st_size > MOST_LIST_BYTES:
            raise InputError(f"{path}: larger than any list of its kind; fetch it again")
        names = path.read_bytes().decode("ascii").split()
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a list of file names; fetch it again") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    missing = [name for name in names if name not in known]
    if missing:
        raise InputError(f"{path}: names {ascii(missing[0])[:80]}, which is not there; fetch the data set again")
    return set(names)


def _utterance(name: str, root: Path) -> Utterance:
    match = NAME.fullmatch(name)
    if match is None or match[1] not in WORDS:
        raise InputError(f"{root / name}: not WORD/SPEAKER_nohash_NUMBER.wav of the 35 words; remove it")
    return Utterance(name, WORDS.index(match[1]), match[2], int(match[3]))
