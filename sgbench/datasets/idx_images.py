"""The base class of MNIST and data sets in its format: four idx files of images and labels."""

import hashlib
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from sgbench.datasets.base import DataSet, Samples, Split
from sgbench.datasets.event_files import FileToFetch, contents, find, problem_of
from sgbench.errors import InputError

TRAIN = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
TEST = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
FILES = (*TRAIN, *TEST)
UNSIGNED_BYTES = 0x08  # code of the element type in an idx file
SPLIT_SEED = 20190128
Bytes = NDArray[np.uint8]


class IdxImages(DataSet):
    """Loads 28x28 grey images of ten classes; validation is a random sixth of the official training set.

    The four files, packed or not, are in the data set's folder or one of `elsewhere`. The checksum of the unpacked
    contents is compared with the published one as a file is read.
    """

    n_inputs: int = 784
    file_sha256: ClassVar[Mapping[str, str]]  # maps file names to the SHA-256 of the unpacked contents
    file_md5: ClassVar[tuple[str, str, str, str]]  # of the packed files, in the order of FILES
    served_at: ClassVar[str]  # URL of the files' folder, with a slash at its end
    by_hand: ClassVar[str]  # how to get the files without `sgbench data download`
    folder: ClassVar[str]  # relative to the root of all data files; also the name of the catalogue entry
    elsewhere: ClassVar[tuple[str, ...]] = ()  # folders of Linux packages that have the files

    @property
    def name(self) -> str:
        """Return the name of the catalogue entry."""
        return self.folder

    @property
    def downloads(self) -> tuple[FileToFetch, ...]:
        parts = zip(FILES, self.file_md5, strict=True)
        return tuple(FileToFetch(self.served_at + name, name, md5, 0) for name, md5 in parts)

    @property
    def remedy(self) -> str:
        """Explain how to get the four files."""
        return f"run: sgbench data download {self.name}; {self.by_hand}"

    def folders(self, data_dir: Path) -> list[Path]:
        """List the folders in which the files are searched for, in order."""
        return [data_dir / self.folder, *(Path(folder) for folder in self.elsewhere)]

    def missing(self, data_dir: Path) -> str | None:
        return problem_of(lambda: [find(name, self.folders(data_dir), self.remedy) for name in FILES])

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Load the images of all splits, pixels as uint8 [samples, 784]."""
        images, labels = self._pair(TRAIN, data_dir)
        order = np.random.Generator(np.random.PCG64(SPLIT_SEED)).permutation(len(labels))
        train, validation = (np.sort(part) for part in np.split(order, [self.sizes["train"]]))
        return {
            "train": to_samples(images[train], labels[train]),
            "validation": to_samples(images[validation], labels[validation]),
            "test": to_samples(*self._pair(TEST, data_dir)),
        }

    def verify(self, splits: dict[Split, Samples]) -> str:
        return checksum(self.file_sha256)

    def _pair(self, names: tuple[str, str], data_dir: Path) -> tuple[Bytes, Bytes]:
        """Read the images [samples, 28, 28] and labels [samples] of two files, named in this order."""
        paths = [find(name, self.folders(data_dir), self.remedy) for name in names]
        images, labels = (self._read(path, name) for path, name in zip(paths, names, strict=True))
        if len(images) != len(labels) or math.prod(images.shape[1:]) != self.n_inputs:
            raise InputError(
                f"{paths[0]}: {images.shape} images do not fit {labels.shape} labels and {self.n_inputs} pixels; "
                f"{self.remedy}"
            )
        return images, labels

    def _read(self, path: Path, name: str) -> Bytes:
        """Read an IDX file; InputError if its checksum is not the published one."""
        data = contents(path)
        array = parse_idx(data, path)
        checksum, expected = hashlib.sha256(data).hexdigest(), self.file_sha256[name]
        if checksum != expected:
            raise InputError(
                f"{path}: checksum {checksum[:12]} is not the expected {expected[:12]}; the file is not the one of "
                f"{self.source}; fetch it again"
            )
        return array


def to_samples(images: Bytes, labels: Bytes) -> Samples:
    """Convert images [samples, 28, 28] and labels [samples] to samples with pixels as uint8 [samples, 784]."""
    pixels = torch.from_numpy(images.reshape(len(images), -1).copy())
    return Samples(pixels, torch.from_numpy(labels.astype(np.int64)), None)


def checksum(files: Mapping[str, str]) -> str:
    """Hash the names and SHA-256 of files, and the seed of the split, by SHA-256.

    `files` maps each name to its SHA-256.
    """
    text = "\n".join([*(f"{name} {digest}" for name, digest in sorted(files.items())), str(SPLIT_SEED)])
    return hashlib.sha256(text.encode()).hexdigest()


def parse_idx(data: bytes, path: Path) -> Bytes:
    """Parse an array of unsigned bytes from the idx format.

    The format is two zero bytes, the code of the element type, the number of axes, their sizes (big-endian, four
    bytes each), then the elements.

    >>> parse_idx(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4]), Path("x")).tolist()
    [[1, 2], [3, 4]]
    """
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != UNSIGNED_BYTES:  # noqa: PLR2004
        raise InputError(f"{path}: not an idx file of unsigned bytes")
    header = 4 + 4 * data[3]
    shape = struct.unpack(f">{data[3]}I", data[4:header]) if len(data) >= header else ()
    if not shape or len(data) != header + math.prod(shape):
        raise InputError(f"{path}: holds {len(data)} bytes, not what its header declares; fetch it again")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)
