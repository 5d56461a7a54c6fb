"""What data sets of spoken words share: one .wav file a sample, made into spikes by the front end."""

from __future__ import annotations

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

AT_ONCE = 16  # sounds that share the work


class Utterance(NamedTuple):
    """Describes one spoken sample, from the name of its file."""

    name: str  # of the file, below the data set's folder
    label: int
    speaker: str
    number: int  # of the recording, among those of its word and speaker


class Spoken(EventFiles):
    """Loads words as spikes of the channels of a `FrontEnd`; a sample is as long as its sound."""

    front_end: ClassVar[FrontEnd]
    words: ClassVar[Sequence[str]]  # of the classes

    @abstractmethod
    def utterances(self, root: Path) -> Mapping[Split, list[Utterance]]:
        """List the samples of each split, in order."""

    def parameters(self) -> dict[str, object]:
        """Return the numbers of the front end, which decide about the spikes."""
        return {"front_end": asdict(self.front_end)}

    def recordings(self, root: Path) -> Mapping[Split, Iterable[Recording]]:
        """Make spikes of the sounds of each split, a few sounds at a time."""
        return {split: self._to_spikes(root, own) for split, own in self.utterances(root).items()}

    def _to_spikes(self, root: Path, own: Sequence[Utterance]) -> Iterator[Recording]:
        """Yield recordings as the front end hears them."""
        sounds = (read_wav(root / utterance.name, self.front_end.rate_hz) for utterance in own)
        for utterance, encoded in zip(own, in_batches(self.front_end, sounds, AT_ONCE), strict=True):
            sound, time_us, channel = encoded
            lasts_us = self.front_end.duration_us(sound)
            yield Recording(channel, time_us, utterance.label, lasts_us, name=str(root / utterance.name))
