"""Spike trains on disk: written sample by sample, read as mapped memory.

A folder holds one split. `channel.i32` and `time_us.i32` have an int32 for each spike, in this machine's byte order
and in the order of `SpikeTrains`. `indptr.npy`, `duration_us.npy` and `target.npy` are int64. `header.json` has a
checksum of all of them, which is compared on opening. Nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import mmap
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from fastspiking.bins import outside_error
from fastspiking.signals.spikes import TIME_BITS, SpikeTrains
from sgbench.datasets.base import Samples
from sgbench.datasets.formats.event_cache import sha256_of
from sgbench.errors import InputError

FORMAT = 2
SPIKES = ("channel", "time_us")
PER_SAMPLE = ("indptr", "duration_us", "target")
HEADER = "header.json"
FILES = (*(f"{name}.i32" for name in SPIKES), *(f"{name}.npy" for name in PER_SAMPLE))


class DamagedError(Exception):
    """Reports a folder whose header is missing or does not fit the files beside it."""


class Recording(NamedTuple):
    """Holds one sample as read from an original file, its spikes in any order."""

    channel: ArrayLike  # [spikes]
    time_us: ArrayLike  # [spikes]
    target: int  # class
    duration_us: int | None = None  # None if the sample ends with its last spike
    name: str = "a recording"  # for error messages


class Writer:
    """Writes the samples of one split to files, one at a time; a context manager that completes them at its end.

    `folder`: to be created for the files; `n_channels`: number of channels N.
    """

    def __init__(self, folder: Path, n_channels: int) -> None:
        folder.mkdir()
        self.folder = folder
        self.n_channels = n_channels
        self.indptr, self.duration_us, self.target = [0], list[int](), list[int]()
        self.files: list[BinaryIO] = [(folder / f"{name}.i32").open("wb") for name in SPIKES]

    def add(self, recording: Recording) -> None:
        """Sort a sample's spikes by time and append them to the files of the split."""
        channel, time_us = in_order(recording, self.n_channels)
        last = int(time_us[-1]) if len(time_us) else 0
        duration_us = last + 1 if recording.duration_us is None else recording.duration_us
        if last > duration_us:
            raise InputError(f"{recording.name}: a spike at {last} us lies behind its end at {duration_us} us")
        for file, numbers in zip(self.files, (channel, time_us), strict=True):
            file.write(numbers.astype(np.int32).tobytes())
        self.indptr.append(self.indptr[-1] + len(channel))
        self.duration_us.append(duration_us)
        self.target.append(recording.target)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            for file in self.files:
                with contextlib.suppress(OSError):  # of a full disk, which the first error reports
                    file.close()

    def _finish(self) -> None:
        """Write the arrays with a number for each sample, flush the files to disk, and write the header last."""
        for name in PER_SAMPLE:
            np.save(self.folder / f"{name}.npy", np.array(getattr(self, name), np.int64), allow_pickle=False)
        for file in self.files:
            file.flush()
            os.fsync(file.fileno())
        header = {
            "format": FORMAT,
            "byte_order": sys.byteorder,
            "channels": self.n_channels,
            "samples": len(self.target),
            "spikes": self.indptr[-1],
        }
        header["sha256"] = _checksum(self.folder, header)
        (self.folder / HEADER).write_text(json.dumps(header))


def in_order(recording: Recording, n_channels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return channels and times [us] of a recording, sorted by time and then by channel, both int64 [spikes].

    >>> [part.tolist() for part in in_order(Recording([3, 1, 2], [20, 7, 7], 0), 4)]
    [[1, 2, 3], [7, 7, 20]]
    """
    channel, time_us = (np.asarray(part).reshape(-1) for part in (recording.channel, recording.time_us))
    if len(channel) != len(time_us):
        raise InputError(f"{recording.name}: {len(channel)} channels but {len(time_us)} times")
    if not len(channel):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    channel, time_us = channel.astype(np.int64), time_us.astype(np.int64)
    if channel.min() < 0 or channel.max() >= n_channels:
        wrong = int(channel[(channel < 0) | (channel >= n_channels)][0])
        raise InputError(f"{recording.name}: a spike of channel {wrong}, outside 0..{n_channels - 1}")
    if time_us.min() < 0 or time_us.max() >= 1 << TIME_BITS:
        wrong = int(time_us[(time_us < 0) | (time_us >= 1 << TIME_BITS)][0])
        raise InputError(f"{recording.name}: a spike at {wrong} us, outside 0..{(1 << TIME_BITS) - 1}")
    key = time_us * n_channels + channel
    if (key[1:] < key[:-1]).any():
        time_us, channel = np.divmod(np.sort(key), n_channels)
    return channel, time_us


class SpikeFile:
    """Gives access to a file of int32: as a mapped tensor `numbers`, or by copies of pieces.

    Pages read through the map count as memory of the process until it ends. Copied pieces do not, so that a pass over
    all samples takes no more memory than one batch. `count`: how many int32 it must hold.
    """

    def __init__(self, path: Path, count: int) -> None:
        self.handle = -1
        if path.stat().st_size != 4 * count:
            raise DamagedError(f"{path}: {path.stat().st_size} bytes, not {4 * count}")
        self.handle = os.open(path, os.O_RDONLY)
        self.numbers = torch.empty(0, dtype=torch.int32)
        if count:  # an empty file cannot be mapped
            mapped = mmap.mmap(self.handle, 0, access=mmap.ACCESS_COPY)  # writing would not reach the file
            self.numbers = torch.frombuffer(mapped, dtype=torch.int32)

    def read_into(self, target: NDArray[np.int32], first: int) -> None:
        """Fill an array with the file's numbers from position `first` on."""
        if os.preadv(self.handle, [target.data], 4 * first) != target.nbytes:
            raise OSError(f"a prepared data set was cut off at {4 * first} bytes")

    def pieces(self, first: list[int], counts: list[int]) -> Tensor:
        """Read pieces of the file, given their first positions and lengths; return them as one tensor, joined."""
        numbers, end = np.empty(sum(counts), np.int32), 0
        for start, count in zip(first, counts, strict=True):
            begin, end = end, end + count
            self.read_into(numbers[begin:end], start)
        return torch.from_numpy(numbers)

    def __del__(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)


@dataclass(frozen=True)
class StoredTrains(SpikeTrains):
    """Holds spike trains in mapped files, from which samples are copied batch by batch."""

    files: tuple[SpikeFile, ...] = ()  # of channels and of times

    def __getitem__(self, position: Tensor) -> SpikeTrains:
        """Return the samples at these positions [B]; their spikes are read from disk on first access."""
        return PickedTrains(self, position, self.dtype)


class PickedTrains(SpikeTrains):
    """Picks some samples of a stored split; `channel` and `time_us` are read from disk on first access.

    `position`: of the samples in the split [B]; `dtype`: of the input that encoders make of the spikes.
    """

    _source: StoredTrains
    _position: Tensor
    _first: list[int]
    _counts: list[int]

    def __init__(self, source: StoredTrains, position: Tensor, dtype: torch.dtype) -> None:
        counts = source.indptr[position + 1] - source.indptr[position]
        indptr = torch.zeros(len(position) + 1, dtype=torch.int64)
        torch.cumsum(counts, 0, out=indptr[1:])
        self.__dict__.update(
            indptr=indptr,
            duration_us=source.duration_us[position],
            n_channels=source.n_channels,
            dtype=dtype,
            _source=source,
            _position=position,
            _first=source.indptr[position].tolist(),
            _counts=counts.tolist(),
        )

    @functools.cached_property
    def channel(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride] - read where the other is held
        """Read the channel of each spike, int32 [spikes]."""
        channel = self._source.files[0].pieces(self._first, self._counts)
        unsigned = channel.numpy().view(np.uint32)  # in which negative numbers are large
        if len(channel) and unsigned.max() >= self.n_channels:
            raise outside_error(self.n_channels)
        return channel

    @functools.cached_property
    def time_us(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Read the time of each spike from its sample's start [us], int32 [spikes]."""
        return self._source.files[1].pieces(self._first, self._counts)

    def to(self, dtype: torch.dtype) -> SpikeTrains:
        trains = PickedTrains.__new__(PickedTrains)
        trains.__dict__.update(self.__dict__, dtype=dtype)
        return trains

    def __getitem__(self, position: Tensor) -> SpikeTrains:
        return PickedTrains(self._source, self._position[position], self.dtype)

    def one_by_one(self) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
        """Yield channels and times [us] of each sample in turn; the next sample overwrites both arrays."""
        buffer = np.empty((2, max(self._counts, default=0)), np.int32)
        channel_file, time_file = self._source.files
        for first, count in zip(self._first, self._counts, strict=True):
            channel, time_us = buffer[0, :count], buffer[1, :count]
            channel_file.read_into(channel, first)
            time_file.read_into(time_us, first)
            yield channel, time_us


def read(folder: Path) -> Samples:
    """Map the samples of a prepared copy; DamagedError if its bytes are not those that were written."""
    try:
        header = json.loads((folder / HEADER).read_text())
        samples, spikes = int(header["samples"]), int(header["spikes"])
        if (header["format"], header["byte_order"]) != (FORMAT, sys.byteorder):
            raise DamagedError(f"{folder}: of another version")
        indptr, duration_us, target = (_numbers(folder / f"{name}.npy") for name in PER_SAMPLE)
        files = tuple(SpikeFile(folder / f"{name}.i32", spikes) for name in SPIKES)
        if header.pop("sha256") != _checksum(folder, header):
            raise DamagedError(f"{folder}: other bytes than were written")
    except (InputError, OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise DamagedError(f"{folder}: {error}") from error
    if len(target) != samples or len(indptr) != samples + 1 or int(indptr[-1]) != spikes:
        raise DamagedError(f"{folder}: another number of samples than its header says")
    channel, time_us = (file.numbers for file in files)
    trains = StoredTrains(indptr, channel, time_us, duration_us, int(header["channels"]), files=files)
    return Samples(trains, target, None)


def _checksum(folder: Path, header: Mapping[str, object]) -> str:
    """Return the checksum of the header and all files; one that has not changed is not read again."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in FILES:
        status = (folder / name).stat()
        state = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        digest.update(f"{name} {_checksum_once(folder / name, state)}\n".encode())
    return digest.hexdigest()


def checksum_of_samples(folders: Iterable[Path]) -> str:
    """Return one SHA-256 of the samples in folders, in order; headers do not count."""
    digest = hashlib.sha256()
    for folder in folders:
        digest.update(_checksum(folder, {}).encode())
    return digest.hexdigest()


@functools.lru_cache(maxsize=1024)
def _checksum_once(path: Path, state: tuple[int, ...]) -> str:
    """Return a file's SHA-256, computed once a process for each `state` (inode, size and times) of the file."""
    return sha256_of(path)


def _numbers(path: Path) -> Tensor:
    numbers = np.load(path, allow_pickle=False)
    if numbers.dtype != np.int64 or numbers.ndim != 1:
        raise DamagedError(f"{path}: not a list of whole numbers")
    return torch.from_numpy(numbers)
