"""What data sets of recorded spikes share: originals on disk, splits by rule, a prepared form that is mapped."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple

from sgbench.datasets.base import SPLITS, DataSet, Origin, Samples, Split
from sgbench.datasets.formats import event_cache
from sgbench.datasets.formats.event_store import (
    FORMAT,
    DamagedError,
    Recording,
    Writer,
    checksum_of_samples,
    read,
)
from sgbench.encoders.base import Form
from sgbench.errors import InputError


class FileToFetch(NamedTuple):
    """Describes one file to fetch."""

    url: str
    name: str  # under which it is kept
    md5: str | None  # as its publisher, or who hands it on, states it
    unpacked_bytes: int  # that an archive may at most fill
    mirrors: tuple[str, ...] = ()  # other addresses of the same bytes, asked where the first does not answer


class EventFiles(DataSet):
    """Loads a data set from original files and keeps it in a prepared form.

    The form is made once for the files, the reader and the parameters (`event_cache`), and holds each split as
    memory to map (`event_store`). Splits whose size nobody has stated are declared as 0 and known after loading.
    """

    form: Form = "spikes"
    origin: Origin = "files"
    sha256: str | None = None  # of the originals and of how they are read; None where none was read by us
    made_here: ClassVar[bool] = False  # its checksum is that of the samples, as it has no published originals
    name: ClassVar[str]  # of its entry
    folder: ClassVar[str]  # below the data root
    reader: ClassVar[int] = 1  # grows with each change of what is made of the same files
    downloads: ClassVar[tuple[FileToFetch, ...]] = ()
    by_hand: ClassVar[str] = ""  # what to do where a program is not let in
    recorded: ClassVar[Mapping[tuple[Split, ...], int]] = {}  # samples of several splits together

    def __init__(self) -> None:
        self.found_sha256: str | None = None

    @abstractmethod
    def originals(self, root: Path) -> list[str]:
        """List the names of all original files below the data set's folder, in order.

        Raises:
            InputError: there are none, or some are missing.
        """

    @abstractmethod
    def recordings(self, root: Path) -> Mapping[Split, Iterable[Recording]]:
        """Read the samples of each split from the original files, one at a time."""

    def parameters(self) -> dict[str, object]:
        """Return, as JSON, what decides about the samples besides files and reader."""
        return {}

    def missing(self, data_dir: Path) -> str | None:
        """Describe which original files are missing and how to get them; return None where all are there."""
        try:
            self.originals(data_dir / self.folder)
        except InputError as error:
            return str(error)
        return None

    @property
    def remedy(self) -> str:
        """Explain how to get the original files."""
        command = f"run: sgbench data download {self.name}"
        return "; ".join(text for text in (command if self.downloads else "", self.by_hand) if text)

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Load all splits, which are prepared at the first call and mapped from disk."""
        root = data_dir / self.folder
        originals = self.checksum_of_originals(root)
        shape = self._shape(originals)
        self.found_sha256 = None if self.made_here else self.checksum_of(originals)
        try:
            splits = self._splits(root, shape)
        except DamagedError as error:
            raise InputError(f"data set {type(self).__name__}: {error}; remove this folder") from error
        counted: dict[Split, int] = {split: len(samples.target) for split, samples in splits.items()}
        for together, count in self.recorded.items():
            total = sum(counted[split] for split in together)
            if total != count:
                raise InputError(
                    f"{root}: holds {total} recordings for {' and '.join(together)}, not {count}; {self.remedy}"
                )
        self.sizes: Mapping[Split, int] = {split: self.sizes[split] or counted[split] for split in SPLITS}
        return splits

    def checksum_of_originals(self, root: Path) -> str:
        """Hash the original files below the data set's folder, or read what was noted of them."""
        return event_cache.checksum_of_files(root, self.originals(root))

    def checksum_of(self, originals: str) -> str:
        """Return the SHA-256 of originals of this checksum, of the reader and of the parameters."""
        identity = {**self._shape(originals), "store": 1}  # the form they are kept in changes no sample
        return hashlib.sha256(repr(sorted(identity.items())).encode()).hexdigest()

    def _shape(self, originals: str) -> dict[str, object]:
        """Return all that a prepared copy depends on."""
        return {
            "data set": self.name,
            "reader": self.reader,
            "store": FORMAT,
            "parameters": self.parameters(),
            "originals": originals,
        }

    def _splits(self, root: Path, shape: dict[str, object]) -> dict[Split, Samples]:
        """Map the samples of each split from disk; damaged or removed ones are prepared once more."""
        folder = event_cache.prepared(self.name, shape, lambda folder: self._write(root, folder))
        try:
            return self._map_splits(folder)
        except DamagedError:
            event_cache.forget(folder)
        return self._map_splits(
            event_cache.prepared(self.name, shape, lambda folder: self._write(root, folder))
        )

    def _map_splits(self, folder: Path) -> dict[Split, Samples]:
        """Map the samples of each split from a prepared copy."""
        splits: dict[Split, Samples] = {split: read(folder / split) for split in SPLITS}
        if self.made_here:
            self.found_sha256 = checksum_of_samples(folder / split for split in SPLITS)
        return splits

    def _write(self, root: Path, folder: Path) -> None:
        """Write a prepared copy of every split."""
        for split, recordings in self.recordings(root).items():
            with Writer(folder / split, self.n_inputs) as writer:
                for recording in recordings:
                    writer.add(recording)

    def verify(self, splits: dict[Split, Samples]) -> str:
        """Return the SHA-256 of originals, reader and parameters, or of samples made here, as they are mapped.

        Spikes are checked while they are written.
        """
        checksum = self.found_sha256
        if checksum is None:
            return super().verify(splits)
        if self.sha256 is not None and checksum != self.sha256:
            raise InputError(
                f"data set {type(self).__name__}: checksum {checksum[:12]} is not the expected {self.sha256[:12]}; "
                f"the files are not those of {self.source}; {self.remedy}"
            )
        return checksum


def below(root: Path, pattern: str, remedy: str, *, least: int = 1) -> list[str]:
    """List the names of the files below a folder that fit a pattern, in order.

    Raises:
        InputError: there are fewer than `least`.
    """
    names = sorted(path.relative_to(root).as_posix() for path in root.glob(pattern) if path.is_file())
    if len(names) < least:
        raise InputError(f"{root} holds {len(names)} files {pattern}, at least {least} are needed; {remedy}")
    return names


def present(root: Path, names: Iterable[str], remedy: str) -> list[str]:
    """Return the names of files if all of them are there.

    Raises:
        InputError: names the first that is not.
    """
    files = list(names)
    for name in files:
        if not (root / name).is_file():
            raise InputError(f"{name} is not in {root}; {remedy}")
    return files
