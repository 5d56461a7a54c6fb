"""Spike trains on disk: written sample by sample, read as mapped memory.

A folder holds one split: `channel.i32` and `time_us.i32` (int32 of this machine, one a spike, in the order of
`SpikeTrains`), `indptr.npy`, `duration_us.npy` and `target.npy` (int64), and `header.json` with a checksum of them
all, which a process checks when it first opens the folder. Nothing in it is unpickled.
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

from sgbench.datasets.base import Samples
from sgbench.datasets.formats.event_cache import sha256_of
from sgbench.engine.bins import outside_error
from sgbench.errors import InputError
from sgbench.signals.spike_trains import TIME_BITS, SpikeTrains

FORMAT = 2
SPIKES = ("channel", "time_us")
PER_SAMPLE = ("indptr", "duration_us", "target")
HEADER = "header.json"
FILES = (*(f"{name}.i32" for name in SPIKES), *(f"{name}.npy" for name in PER_SAMPLE))


class DamagedError(Exception):
    """Reports a folder that does not hold what its header says, or that has no header."""


class Recording(NamedTuple):
    """Holds one sample as its reader found it, in any order."""

    channel: ArrayLike  # [spikes]
    time_us: ArrayLike  # [spikes]
    target: int
    duration_us: int | None = None  # None where it ends with its last spike
    name: str = "a recording"  # for messages


class Writer:
    """Writes one split, complete at the end of its `with`; what is in memory is one sample, whatever their number.

    Args:
        folder: that is made.
        n_channels: N; a spike outside is refused.
    """

    def __init__(self, folder: Path, n_channels: int) -> None:
        folder.mkdir()
        self.folder = folder
        self.n_channels = n_channels
        self.indptr, self.duration_us, self.target = [0], list[int](), list[int]()
        self.files: list[BinaryIO] = [(folder / f"{name}.i32").open("wb") for name in SPIKES]

    def add(self, recording: Recording) -> None:
        """Append a sample, its spikes in the order of time, to the files of the split.

        Raises:
            InputError: it has a spike outside the channels, before 0 or beyond half an hour, or of no time.
        """
        channel, time_us = in_order(recording, self.n_channels)
        last = int(time_us[-1]) if len(time_us) else 0
        duration_us = last + 1 if recording.duration_us is None else recording.duration_us
        if last > duration_us:
            raise InputError(
                f"{recording.name}: a spike at {last} us lies behind its end at {duration_us} us"
            )
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
        """Write what is known only at the end of a split, the header last."""
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
    """Sort channels and times by time and, at one time, by channel; see `Writer.add`.

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
    """Maps a file of int32 as `numbers`; pieces of it are copied without touching the map.

    Pages of a map that were touched count as memory of the process until it ends; what is copied through the
    system's own copy of the file does not, so that a pass over all samples takes no more memory than one batch.

    Raises:
        DamagedError: it has another size.
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
        """Read pieces of the file, by their first positions and their lengths, one after another."""
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
    """Reads spike trains from files, which are mapped as a whole and copied batch by batch."""

    files: tuple[SpikeFile, ...] = ()

    def __getitem__(self, position: Tensor) -> SpikeTrains:
        """Return the samples at these positions [B]; they are read from disk at the first use."""
        return PickedTrains(self, position, self.dtype)


class PickedTrains(SpikeTrains):
    """Picks some samples of files; `channel` and `time_us` are read when they are asked for.

    Args:
        source: the files.
        position: of the samples [B].
        dtype: of the input that will be made of them.
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
        if (
            len(channel) and channel.numpy().view(np.uint32).max() >= self.n_channels
        ):  # a negative one is large
            raise outside_error(self.n_channels)
        return channel

    @functools.cached_property
    def time_us(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Read the time of each spike since its sample's start, int32 [spikes] [us]."""
        return self._source.files[1].pieces(self._first, self._counts)

    def to(self, dtype: torch.dtype) -> SpikeTrains:
        """Return the same spikes with another type for the input that will be made of them."""
        trains = PickedTrains.__new__(PickedTrains)
        trains.__dict__.update(self.__dict__, dtype=dtype)
        return trains

    def __getitem__(self, position: Tensor) -> SpikeTrains:
        """Return the samples at these positions among those picked."""
        return PickedTrains(self._source, self._position[position], self.dtype)

    def one_by_one(self) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
        """Yield channels and times of each sample in turn, read into the same memory."""
        room = np.empty((2, max(self._counts, default=0)), np.int32)
        channels, times = self._source.files
        for first, count in zip(self._first, self._counts, strict=True):
            channel, time_us = room[0, :count], room[1, :count]
            channels.read_into(channel, first)
            times.read_into(time_us, first)
            yield channel, time_us


def read(folder: Path) -> Samples:
    """Map the samples of one split from the files of a folder.

    Raises:
        DamagedError: files are missing, cut off, or not what the header says.
    """
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
    """Hash what a header says and the bytes of all files beside it by SHA-256."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in FILES:
        facts = (folder / name).stat()
        changed = (facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        digest.update(f"{name} {_checksum_once(folder / name, changed)}\n".encode())
    return digest.hexdigest()


def checksum_of_samples(folders: Iterable[Path]) -> str:
    """Hash the samples in folders, in order, by SHA-256: what was recorded, and no header.

    A change of the form moves it only where the bytes of the numbers change.
    """
    digest = hashlib.sha256()
    for folder in folders:
        digest.update(_checksum(folder, {}).encode())
    return digest.hexdigest()


@functools.lru_cache(maxsize=1024)
def _checksum_once(path: Path, changed: tuple[int, ...]) -> str:
    """Hash a file by SHA-256, once a process as long as its size and times stay the same."""
    return sha256_of(path)


def _numbers(path: Path) -> Tensor:
    """Read a list of whole numbers."""
    numbers = np.load(path, allow_pickle=False)
    if numbers.dtype != np.int64 or numbers.ndim != 1:
        raise DamagedError(f"{path}: not a list of whole numbers")
    return torch.from_numpy(numbers)
