"""The base class of data sets of recorded spikes: original files, splits, and a prepared copy mapped from disk."""

import gzip
import hashlib
import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

from sgbench.datasets.base import SPLITS, DataSet, Origin, Samples, Split
from sgbench.datasets.formats import event_cache
from sgbench.datasets.formats.event_bin import Pixels
from sgbench.datasets.formats.event_store import FORMAT, DamagedError, Recording, Writer, checksum_of_samples, read
from sgbench.encoders.base import Form
from sgbench.errors import InputError


def find(name: str, folders: Sequence[Path], remedy: str) -> Path:
    """Return the first place where a file lies, packed or not; InputError says where it was sought."""
    for path in candidates(name, folders):
        if path.is_file():
            return path
    searched = " and ".join(str(folder) for folder in folders)
    raise InputError(f"{name} is not in {searched}; {remedy}")


def problem_of(check: Callable[[], object]) -> str | None:
    """Call a function and return the text of the InputError that it raises, or None."""
    try:
        check()
    except InputError as error:
        return str(error)
    return None


def candidates(name: str, folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        yield folder / name
        yield folder / name.removesuffix(".gz")


def contents(path: Path) -> bytes:
    """Read the bytes of a file; one that ends in .gz is unpacked."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return file.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: cut off or damaged ({error}); fetch it again") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


class FileToFetch(NamedTuple):
    """Describes one file to download."""

    url: str
    name: str  # of the file on disk
    md5: str | None  # published checksum, if there is one
    unpacked_bytes: int  # largest size of an archive's files together
    mirrors: tuple[str, ...] = ()  # addresses of the same file, tried in order if `url` fails


class EventFiles(DataSet):
    """Loads recorded spikes from original files, by way of a prepared copy on disk.

    The copy is made once for each combination of files, reader version and parameters (see `event_cache`). It holds
    each split in files that are mapped into memory (see `event_store`). Splits of unpublished size are declared
    with 0 samples; `sizes` holds their true size after loading.
    """

    form: Form = "spikes"
    origin: Origin = "files"
    sha256: str | None = None  # expected `checksum_of` or, if `made_here`, hash of samples; None if unknown
    made_here: ClassVar[bool] = False  # whether sgbench makes the files, so that samples are hashed
    name: ClassVar[str]  # of the catalogue entry
    folder: ClassVar[str]  # relative to the root of all data files
    reader: ClassVar[int] = 1  # version of the code that reads the files; raised when it makes other samples
    downloads: ClassVar[tuple[FileToFetch, ...]] = ()
    by_hand: ClassVar[str] = ""  # how to get the files without `sgbench data download`
    recorded: ClassVar[Mapping[tuple[Split, ...], int]] = {}  # published number of samples of some splits together

    def __init__(self) -> None:
        self.found_sha256: str | None = None  # of the data, once loaded

    @abstractmethod
    def originals(self, root: Path) -> list[str]:
        """List the names of all original files in order, relative to the data set's folder `root`.

        Raises:
            InputError: some or all are missing.
        """

    @abstractmethod
    def recordings(self, root: Path) -> Mapping[Split, Iterable[Recording]]:
        """Map each split to its samples, which are read from the original files one at a time."""

    def parameters(self) -> dict[str, object]:
        """Return the parameters, as values for JSON, on which samples or splits depend."""
        return {}

    def missing(self, data_dir: Path) -> str | None:
        return problem_of(lambda: self.originals(data_dir / self.folder))

    @property
    def remedy(self) -> str:
        """Explain how to get the original files."""
        command = f"run: sgbench data download {self.name}"
        return "; ".join(text for text in (command if self.downloads else "", self.by_hand) if text)

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Map all splits from their prepared copy on disk, which is made on the first call."""
        root = data_dir / self.folder
        originals = self.checksum_of_originals(root)
        self.found_sha256 = None if self.made_here else self.checksum_of(originals)
        try:
            splits = self._splits(root, self._identity(originals))
        except DamagedError as error:
            raise InputError(f"data set {type(self).__name__}: {error}; remove this folder") from error
        found: dict[Split, int] = {split: len(samples.target) for split, samples in splits.items()}
        for together, count in self.recorded.items():
            total = sum(found[split] for split in together)
            if total != count:
                raise InputError(
                    f"{root}: holds {total} recordings for {' and '.join(together)}, not {count}; {self.remedy}"
                )
        self.sizes: Mapping[Split, int] = {split: self.sizes[split] or found[split] for split in SPLITS}
        return splits

    def checksum_of_originals(self, root: Path) -> str:
        """Return one SHA-256 for all original files in the folder `root`, stored since they last changed."""
        return event_cache.checksum_of_files(root, self.originals(root))

    def checksum_of(self, originals: str) -> str:
        identity = {**self._identity(originals), "store": 1}  # the format of the copy changes no sample
        return hashlib.sha256(repr(sorted(identity.items())).encode()).hexdigest()

    def _identity(self, originals: str) -> dict[str, object]:
        """Return all values on which a prepared copy depends; `originals` is the checksum of the files."""
        return {
            "data set": self.name,
            "reader": self.reader,
            "store": FORMAT,
            "parameters": self.parameters(),
            "originals": originals,
        }

    def _splits(self, root: Path, identity: dict[str, object]) -> dict[Split, Samples]:
        """Map the prepared copy, which is made if it is missing, and once more if it is damaged."""
        folder = event_cache.prepared(self.name, identity, lambda folder: self._write(root, folder))
        try:
            return self._map_splits(folder)
        except DamagedError:
            event_cache.forget(folder)
        folder = event_cache.prepared(self.name, identity, lambda folder: self._write(root, folder))
        return self._map_splits(folder)

    def _map_splits(self, folder: Path) -> dict[Split, Samples]:
        splits: dict[Split, Samples] = {split: read(folder / split) for split in SPLITS}
        if self.made_here:
            self.found_sha256 = checksum_of_samples(folder / split for split in SPLITS)
        return splits

    def _write(self, root: Path, folder: Path) -> None:
        for split, recordings in self.recordings(root).items():
            with Writer(folder / split, self.n_inputs) as writer:
                for recording in recordings:
                    writer.add(recording)

    def verify(self, splits: dict[Split, Samples]) -> str:
        """Compare the checksum found by `load` with the published one, and return it.

        It covers original files, reader and parameters, or the samples if `made_here`. Without a `load` before, the
        samples are hashed.
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


def camera_recordings(
    root: Path, files: Iterable[tuple[str, int]], read: Callable[[Path], Pixels], image: tuple[int, int, int]
) -> Iterator[Recording]:
    for name, label in files:
        pixels = read(root / name)
        channel = pixels.channel(image, str(root / name))
        yield Recording(channel, pixels.time_us, label, name=str(root / name))


def below(root: Path, pattern: str, remedy: str, *, least: int = 1) -> list[str]:
    """Name the files below a folder, sorted; InputError if there are fewer than `least`."""
    names = sorted(path.relative_to(root).as_posix() for path in root.glob(pattern) if path.is_file())
    if len(names) < least:
        raise InputError(f"{root} holds {len(names)} files {pattern}, at least {least} are needed; {remedy}")
    return names


def present(root: Path, names: Iterable[str], remedy: str) -> list[str]:
    """Return the names after checking that each file is there."""
    files = list(names)
    for name in files:
        if not (root / name).is_file():
            raise InputError(f"{name} is not in {root}; {remedy}")
    return files
