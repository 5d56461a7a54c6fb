"""The base class of data sets of spoken words: one .wav file a sample, converted to spikes."""

import wave
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sgbench.datasets.base import Split
from sgbench.datasets.event_files import EventFiles
from sgbench.datasets.formats.event_store import Recording
from sgbench.datasets.gammatone import FrontEnd, in_batches
from sgbench.errors import InputError

FULL_SCALE = 32768.0
BYTES = 2  # of a sample
MOST_S = 60.0  # longest sound that is read


def read_wav(path: Path, rate_hz: int) -> NDArray[np.float64]:
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
