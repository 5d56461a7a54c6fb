"""Reads one part of a user's data, in any of the accepted forms, as plain arrays of samples and labels."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib.format import MAGIC_PREFIX
from numpy.typing import NDArray

from sgbench.datasets.formats import npz
from sgbench.datasets.tonic_sets import UNSTATED, channels_of
from sgbench.errors import InputError, one_printable_line
from sgbench.yours.scratch import SpilledArrays, stack_arrays

VALUES_AXES, TRACES_AXES = 2, 3
PAIR = 2
ACCEPTED_FORMS = "give (x, y) with x [samples, time, channels], [samples, features] or a list of samples"


@dataclass(frozen=True)
class EventArrays:
    """Holds the spikes of samples as events."""

    times_us: list[NDArray[np.int64]]  # times of the spikes of each sample [us]
    channels: list[NDArray[np.int64]]  # channels of the same spikes


@dataclass(frozen=True)
class Part:
    """Holds samples of a user's arrays with their labels."""

    # [samples, features] or [samples, time, channels], a list of [time, channels] of unlike lengths, or events.
    values: NDArray[Any] | list[NDArray[Any]] | EventArrays
    labels: NDArray[Any]  # of any kind that can be compared [samples]
    indices: NDArray[np.int64] | None = None  # of the samples in `values`; None: all in order

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def order(self) -> NDArray[np.int64]:
        """Return the index in `values` of each sample."""
        return np.arange(len(self)) if self.indices is None else self.indices

    def select(self, chosen: NDArray[np.int64]) -> Part:
        """Return a part with the samples at these indices, whose values are not copied."""
        return Part(self.values, self.labels[chosen], self.order[chosen])


Unit = Literal["s", "ms", "us"]  # of spike times
IN_MICROSECONDS: dict[Unit, float] = {"s": 1e6, "ms": 1e3, "us": 1.0}


def read_data(given: Any, name: str, *, time_unit: Unit = "s") -> Part:
    """Read one part of a user's data: training, validation or test.

    Each sample of a data set is read once; samples above 64 MB in all are stored in a temporary file.
    """
    reader = _PartReader(name, time_unit, _sensor_size(given))
    if isinstance(given, tuple | list) and len(given) == PAIR:
        values, labels = reader.values(given[0]), to_array(given[1]).reshape(-1)
    else:
        values, labels = reader.pairs(given)
    count = len(values.times_us) if isinstance(values, EventArrays) else len(values)
    if count != len(labels):
        raise InputError(f"{name}: {count} samples but {len(labels)} labels; one label a sample is needed")
    if not count:
        raise InputError(f"{name}: has no samples")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise InputError(f"{name}: label of sample {int(np.argmin(np.isfinite(labels)))} is not a number")
    return Part(values, labels)


def _sensor_size(given: Any) -> tuple[int, int, int] | None:
    """Return the sensor's (width, height, polarities) of a tonic data set or of its wrapper; None for others."""
    while given is not None:
        stated = getattr(given, "sensor_size", None)
        known = UNSTATED.get(type(given).__name__)
        if stated is not None:
            return tuple(stated)
        if known is not None and hasattr(given, "sensor_size"):
            return known.sensor_size
        given = getattr(given, "dataset", None)  # the data set inside a loader, a cache or a subset
    return None


def iterate_pairs(given: Any, name: str) -> Iterator[tuple[Any, Any]]:
    """Yield sample and label of a data set, a loader's data set, or any iterable of pairs."""
    loaded = getattr(given, "dataset", None)
    if loaded is not None and hasattr(given, "batch_size"):
        given = loaded  # a loader may shuffle, and each call would read other data
    if hasattr(given, "__getitem__") and hasattr(given, "__len__") and not hasattr(given, "shape"):
        items: Iterable[Any] = (given[index] for index in range(len(given)))
    elif hasattr(given, "__iter__") and not hasattr(given, "shape"):
        items = given
    else:
        raise InputError(f"{name}: a {type(given).__name__} is no data set; {ACCEPTED_FORMS}")
    for item in items:
        if not isinstance(item, tuple | list) or len(item) < PAIR:
            raise InputError(f"{name}: its items are no pairs of a sample and a label; {ACCEPTED_FORMS}")
        yield item[0], item[1].item() if hasattr(item[1], "item") else item[1]


@dataclass(frozen=True)
class _PartReader:
    """Reads the samples of one part."""

    name: str  # of the part, for messages
    unit: Unit  # of spike times in pairs
    size: tuple[int, int, int] | None  # width, height and polarities of the sensor

    def pairs(self, given: Any) -> tuple[NDArray[Any] | list[NDArray[Any]] | EventArrays, NDArray[Any]]:
        """Read samples and labels in one pass, since a data set may be slow or endless to read twice."""
        labels: list[Any] = []

        def samples() -> Iterator[Any]:
            for sample, label in iterate_pairs(given, self.name):
                labels.append(label)
                yield sample

        values = self._read_each(samples())
        return values, np.asarray(labels).reshape(-1)

    def values(self, x: Any) -> NDArray[Any] | list[NDArray[Any]] | EventArrays:
        """Read samples from an array, or from a sequence of arrays or events."""
        if not hasattr(x, "shape") and isinstance(x, Sequence) and len(x):
            return self._read_each(x)
        array = to_array(x)
        if array.dtype == object and array.ndim == 1 and not np.isscalar(array[0]):
            return self._read_each(list(array))
        return self._checked_array(array)

    def _read_each(self, samples: Iterable[Any]) -> NDArray[Any] | list[NDArray[Any]] | EventArrays:
        """Read samples one by one; the first decides whether all are events."""
        times_us, channels_or_samples = SpilledArrays(), SpilledArrays()
        are_events = False
        for index, sample in enumerate(samples):
            are_events = _is_events(sample) if index == 0 else are_events
            if are_events:
                time_us, channel = self._event_arrays(sample, index)
                times_us.add(time_us)
                channels_or_samples.add(channel)
            else:
                channels_or_samples.add(to_array(sample))
        arrays = channels_or_samples.arrays()
        if are_events:
            return EventArrays(times_us.arrays(), channels=arrays)
        if not arrays:
            raise InputError(f"{self.name}: has no samples")
        if len({array.shape for array in arrays}) > 1:
            return self._checked_ragged(arrays)
        return self._checked_array(stack_arrays(arrays))

    def _checked_array(self, array: NDArray[Any]) -> NDArray[Any]:
        """Check an array of all samples; pixels are flattened to channels [samples, time, channels]."""
        if array.dtype == object:
            try:
                array = array.astype(np.float64)
            except (TypeError, ValueError) as error:
                raise InputError(f"{self.name}: samples hold what is no number: {one_printable_line(error)}") from error
        if array.dtype.kind not in "buif":
            raise InputError(f"{self.name}: samples are of type {array.dtype}, numbers are needed")
        if array.ndim > TRACES_AXES:
            array = array.reshape(len(array), array.shape[1], -1)
        if array.ndim not in (VALUES_AXES, TRACES_AXES):
            raise InputError(f"{self.name}: x has shape {array.shape}; {ACCEPTED_FORMS}")
        if len(array) and not array.size:
            raise InputError(f"{self.name}: x has shape {array.shape}; at least one step and one channel are needed")
        return array

    def _checked_ragged(self, samples: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """Check samples of unlike lengths; each is flattened to [time, channels]."""
        wrong = next((sample for sample in samples if sample.dtype.kind not in "buif"), None)
        if wrong is not None:
            raise InputError(f"{self.name}: samples are of type {wrong.dtype}, numbers are needed")
        if not all(sample.ndim and len(sample) for sample in samples):
            raise InputError(f"{self.name}: a sample has no time step; leave it out")
        flat = [sample.reshape(len(sample), -1) for sample in samples]
        channels = {sample.shape[1] for sample in flat}
        if len(channels) > 1:
            raise InputError(f"{self.name}: samples have {sorted(channels)} channels; the same number is needed")
        return flat

    def _event_arrays(self, sample: Any, index: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return times [us] and channels of one sample of events; an InputError if they are not usable."""
        if not _is_events(sample):
            raise InputError(f"{self.name}: sample {index} holds no events, where the first does; give all as events")
        names = getattr(getattr(sample, "dtype", None), "names", None)
        if names and self.size is None and "y" in names:
            raise InputError(
                f"{self.name}: events of a camera need the data set's sensor_size, which this one does not have"
            )
        where = f"{self.name}: sample {index}"
        time, channel = sample if not names else channels_of(sample, self.size or UNKNOWN_SENSOR, where)
        exact = np.asarray(time, dtype=np.float64) * (1.0 if names else IN_MICROSECONDS[self.unit])
        whole = np.asarray(channel)
        if not np.isfinite(exact).all() or exact.min(initial=0) < 0:
            raise InputError(f"{where} has a time that is negative or not a number")
        if exact.max(initial=0) > LARGEST_TIME_US:
            raise InputError(
                f"{where} has a spike {exact.max() * 1e-6:g} s after its start; times are from a sample's start, "
                f"at most 35 min"
            )
        are_numbers = whole.dtype.kind in "biuf" and bool(np.isfinite(whole).all())
        if not are_numbers or whole.min(initial=0) < 0 or (whole != np.floor(whole)).any():
            raise InputError(f"{where} has a channel that is no whole number of at least 0")
        if whole.max(initial=0) >= MOST_CHANNELS:
            raise InputError(f"{where} has channel {whole.max():.15g}; at most {MOST_CHANNELS} are read, from 0 on")
        return np.floor(exact + 1e-6).astype(np.int64), whole.astype(np.int64)


LARGEST_TIME_US = 2**31 - 1
MOST_CHANNELS = 2**24
"""Most inputs of a network; a camera of 1280 x 720 pixels and two polarities has 1.8 million."""
UNKNOWN_SENSOR = (2**31, 1, 1)
"""Sensor size (width, height, polarities) for events with one coordinate, whose number of channels is unknown."""


def to_array(numbers: Any) -> NDArray[Any]:
    """Convert an array, a tensor or a sparse tensor, as of tonic's `ToSparseTensor`, to an array."""
    if hasattr(numbers, "detach"):
        numbers = (numbers.to_dense() if numbers.is_sparse else numbers).detach().cpu().numpy()
    return np.asarray(numbers)


def _is_events(sample: Any) -> bool:
    """Return whether a sample is events: a structured array with named fields, or a pair (times, channels)."""
    if getattr(getattr(sample, "dtype", None), "names", None):
        return True
    if not isinstance(sample, tuple) or len(sample) != PAIR:
        return False
    times, channels = (np.asarray(part) for part in sample)
    return times.ndim == channels.ndim == 1 and len(times) == len(channels)


SAMPLES = ("x", "X", "values", "samples", "data")
LABELS = ("y", "Y", "labels", "label", "target", "targets")
EVENTS = ("sample", "time", "channel")
GROUPS = "groups"
NAME_LENGTHS_AT = 26
"""Offset of the lengths of the name and of the extra field in a zip member's own header [bytes]."""
SUFFIX = ".npy"
MOST_UNPACKED_BYTES = 2**30
"""Largest compressed array, which is read into memory as a whole."""
NEEDED_ARRAYS = "x and y; or sample, time and channel of each spike, and y"


def read_part(path: Path, groups: str | None = None) -> tuple[tuple[Any, NDArray[Any]], NDArray[Any] | None]:
    """Read (samples, labels) of one file, and the group of each sample; None without groups.

    The file holds arrays `x` and `y`; or, for spikes, `y` and three arrays of equal lengths, `sample`, `time` and
    `channel`. Other names are ignored. Uncompressed arrays (`numpy.savez`) are memory-mapped, compressed ones read.

    `path`: the .npz file. `groups`: name of the array of groups; None takes `groups` if the file has it.
    """
    arrays = _read_arrays(path, {*SAMPLES, *LABELS, *EVENTS, groups or GROUPS})
    names_text = ", ".join(arrays) or "none"
    labels = next((arrays[name] for name in LABELS if arrays.get(name) is not None), None)
    values = next((arrays[name] for name in SAMPLES if arrays.get(name) is not None), None)
    if labels is None:
        raise InputError(f"{path}: has the arrays {names_text}; it needs {NEEDED_ARRAYS}")
    if groups is not None and groups not in arrays:
        raise InputError(f"{path}: has the arrays {names_text}, and no '{groups}' for --groups")
    group_of = arrays.get(groups or GROUPS)
    if values is not None:
        return (values, labels), group_of
    events = {name: arrays[name] for name in EVENTS if arrays.get(name) is not None}
    if len(events) < len(EVENTS):
        raise InputError(f"{path}: has the arrays {names_text}; it needs {NEEDED_ARRAYS}")
    return (_split_by_sample(events, len(labels), path), labels), group_of


def _read_arrays(path: Path, wanted: set[str]) -> dict[str, Any]:
    """Map the names of a file's arrays to the arrays if they are wanted, and to None otherwise."""
    _require_file(path)
    try:
        with zipfile.ZipFile(path) as packed:
            found = {info.filename: info for info in packed.infolist()}
            arrays: dict[str, Any] = {name.removesuffix(SUFFIX): None for name in found if name.endswith(SUFFIX)}
            for name in wanted & set(arrays):
                arrays[name] = _read_array(path, packed, found[f"{name}{SUFFIX}"], f"{path}: array '{name}'")
    except InputError:
        raise
    except npz.DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path}: not a .npz file of plain arrays ({reason}); write numpy.savez(path, x=x, y=y)"
        ) from error
    return arrays


def _require_file(path: Path) -> None:
    """Raise an InputError for all but regular files (a pipe would block), and for an .npy file of one array."""
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if not path.is_file():
        raise InputError(f"{path}: is no file; write numpy.savez(path, x=x, y=y)")
    with path.open("rb") as file:
        if file.read(len(MAGIC_PREFIX)) == MAGIC_PREFIX:
            raise InputError(f"{path}: holds one array; write samples and labels: numpy.savez(path, x=x, y=y)")


def _read_array(path: Path, packed: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> NDArray[Any]:
    """Read an array of a zip file: map an uncompressed one into memory, decompress another; `where` names it."""
    is_compressed = member.compress_type != zipfile.ZIP_STORED
    if is_compressed and member.file_size > MOST_UNPACKED_BYTES:
        raise InputError(
            f"{where} unpacks to {member.file_size} bytes; write it with numpy.savez, which is read in pieces"
        )
    with packed.open(member) as stream:
        shape, by_column, dtype = npz.header(stream, member.file_size, where)
        header_bytes = stream.tell()
        if is_compressed or not all(shape):
            array = np.frombuffer(stream.read(), dtype)
            return array.reshape(shape[::-1]).T if by_column else array.reshape(shape)
    npz.require_whole(packed, member, where)
    with path.open("rb") as file:
        file.seek(member.header_offset + NAME_LENGTHS_AT)
        name_bytes, extra_bytes = (int.from_bytes(file.read(2), "little") for _ in range(2))
    start = member.header_offset + NAME_LENGTHS_AT + 4 + name_bytes + extra_bytes + header_bytes
    order = "F" if by_column else "C"
    return np.memmap(path, dtype, mode="c", offset=start, shape=shape, order=order).view(np.ndarray)


def _split_by_sample(arrays: dict[str, NDArray[Any]], count: int, path: Path) -> list[tuple[Any, Any]]:
    """Split spikes by their sample: return (times, channels) of each of `count` samples.

    `arrays` maps "sample", "time" and "channel" to one number for each spike.
    """
    for name in EVENTS:
        if arrays[name].ndim != 1 or arrays[name].dtype.kind not in "biuf":
            raise InputError(
                f"{path}: array '{name}' has shape {arrays[name].shape} of {arrays[name].dtype}; numbers are "
                f"needed along one axis, one a spike"
            )
    owner, time, channel = (arrays[name] for name in EVENTS)  # owner: index of each spike's sample
    if not len(owner) == len(time) == len(channel):
        raise InputError(f"{path}: sample, time and channel have {len(owner)}, {len(time)} and {len(channel)} numbers")
    if not np.array_equal(owner, np.floor(owner)):
        raise InputError(f"{path}: sample holds what is no whole number; it counts samples from 0")
    if len(owner) and (owner.min() < 0 or owner.max() >= count):
        raise InputError(f"{path}: sample goes from {owner.min()} to {owner.max()}, but there are {count} labels")
    order = np.argsort(owner, kind="stable")
    ends = np.searchsorted(owner[order], np.arange(1, count))
    return list(zip(np.split(time[order], ends), np.split(channel[order], ends), strict=True))


UNITS: tuple[Unit, ...] = ("s", "ms", "us")
