"""The base class of data sets of spoken words: one .wav file a sample, converted to spikes."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar, NamedTuple

from sgbench.datasets.base import Split
from sgbench.datasets.event_files import EventFiles
from sgbench.datasets.formats.event_store import Recording
from sgbench.datasets.formats.sound import read_wav
from sgbench.datasets.gammatone import FrontEnd, in_batches

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
