"""One part of a user's data, whatever it comes as: plain arrays of samples and labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sgbench.errors import InputError

VALUES_AXES, TRACES_AXES = 2, 3
PAIR = 2
TIME_NAMES = ("t", "time", "times", "ts")
EXAMPLE = "give (x, y) with x [samples, time, channels], [samples, features] or a list of samples"


@dataclass(frozen=True)
class Events:
    """Spikes of samples, each with its times [us] and channels.

    Args:
        times_us: whole numbers, one array a sample.
        channels: of the same lengths.
    """

    times_us: list[NDArray[np.int64]]
    channels: list[NDArray[np.int64]]


@dataclass(frozen=True)
class Part:
    """Samples with their labels.

    Args:
        values: an array [samples, features] or [samples, time, channels], a list of arrays [time, channels] of
            unlike lengths, or events.
        labels: of any kind that can be compared, one a sample.
    """

    values: NDArray[Any] | list[NDArray[Any]] | Events
    labels: NDArray[Any]

    def __len__(self) -> int:
        return len(self.labels)


Unit = Literal["s", "ms", "us"]
IN_MICROSECONDS: dict[Unit, float] = {"s": 1e6, "ms": 1e3, "us": 1.0}


def part_of(given: Any, name: str, *, time_unit: Unit = "s") -> Part:
    """Read one part of a user's data.

    Args:
        given: (x, y), a torch `Dataset` or `DataLoader`, or a tonic data set; x is an array or tensor, or a list of
            samples, each an array [time, channels], a pair (times, channels), or tonic's structured events.
        name: of the part, for messages.
        time_unit: of the times in pairs; tonic's are in microseconds.

    Raises:
        InputError: it is none of these, or samples and labels differ in number; one line.
    """
    size = getattr(given, "sensor_size", None)
    x, y = _pair(given, name)
    labels = np.asarray(y if not hasattr(y, "detach") else y.detach().cpu().numpy()).reshape(-1)
    values = _values(x, name, time_unit, size)
    count = len(values.times_us) if isinstance(values, Events) else len(values)
    if count != len(labels):
        raise InputError(f"{name}: {count} samples but {len(labels)} labels; one label a sample is needed")
    if not count:
        raise InputError(f"{name}: has no samples")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise InputError(f"{name}: label of sample {int(np.argmin(np.isfinite(labels)))} is not a number")
    return Part(values, labels)


def _pair(given: Any, name: str) -> tuple[Any, Any]:
    """Samples and labels, of data that come one by one in their own order."""
    if isinstance(given, tuple | list) and len(given) == PAIR:
        return given[0], given[1]
    loaded = getattr(given, "dataset", None)
    if loaded is not None and hasattr(given, "batch_size"):
        given = loaded  # a loader may shuffle, which would make other data of each call
    if hasattr(given, "__getitem__") and hasattr(given, "__len__") and not hasattr(given, "dtype"):
        items: Iterable[Any] = (given[place] for place in range(len(given)))
    elif hasattr(given, "__iter__") and not hasattr(given, "dtype"):
        items = given
    else:
        raise InputError(f"{name}: a {type(given).__name__} is no data set; {EXAMPLE}")
    samples, labels = [], []
    for item in items:
        if not isinstance(item, tuple | list) or len(item) < PAIR:
            raise InputError(f"{name}: its items are no pairs of a sample and a label; {EXAMPLE}")
        samples.append(item[0])
        labels.append(item[1].item() if hasattr(item[1], "item") else item[1])
    return samples, labels


def _values(x: Any, name: str, unit: Unit, size: Any) -> NDArray[Any] | list[NDArray[Any]] | Events:
    if hasattr(x, "detach"):
        x = x.detach().cpu().numpy()
    if isinstance(x, Sequence) and len(x) and _is_events(x[0]):
        return _events(x, name, unit, size)
    if isinstance(x, Sequence) and len(x):
        x = [np.asarray(each.detach().cpu() if hasattr(each, "detach") else each) for each in x]
        shapes = {each.shape for each in x}
        if len(shapes) > 1:
            return _ragged(x, name)
        x = np.stack(x)
    found = np.asarray(x)
    if found.dtype == object and found.ndim == 1 and not np.isscalar(found[0]):
        return _values(list(found), name, unit, size)
    if found.dtype == object:
        found = _as_numbers(found, name)
    if found.dtype.kind not in "buif":
        raise InputError(f"{name}: samples are of type {found.dtype}, numbers are needed")
    if found.ndim > TRACES_AXES:
        found = found.reshape(len(found), found.shape[1], -1)  # frames over time: all of a frame are channels
    if found.ndim not in (VALUES_AXES, TRACES_AXES):
        raise InputError(f"{name}: x has shape {found.shape}; {EXAMPLE}")
    return found


def _as_numbers(objects: NDArray[Any], name: str) -> NDArray[np.float64]:
    try:
        return objects.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: samples hold what is no number: {' '.join(str(error).split())}") from error


def _ragged(samples: list[NDArray[Any]], name: str) -> list[NDArray[Any]]:
    flat = [each.reshape(len(each), -1) if each.ndim > 1 else each[:, None] for each in samples]
    channels = {each.shape[1] for each in flat}
    if len(channels) > 1:
        raise InputError(f"{name}: samples have {sorted(channels)} channels; the same number is needed")
    if not all(map(len, flat)):
        raise InputError(f"{name}: a sample has no time step; leave it out")
    return flat


def _is_events(sample: Any) -> bool:
    """Whether a sample is tonic's structured array, or a pair of times and channels of one length."""
    if getattr(getattr(sample, "dtype", None), "names", None):
        return True
    if not isinstance(sample, tuple) or len(sample) != PAIR:
        return False
    times, channels = (np.asarray(each) for each in sample)
    return times.ndim == channels.ndim == 1 and len(times) == len(channels)


def _events(samples: Sequence[Any], name: str, unit: Unit, size: Any) -> Events:
    times_us, channels = [], []
    for place, (time, channel) in enumerate(_each(samples, size)):
        factor = 1.0 if getattr(samples[place], "dtype", None) is not None else IN_MICROSECONDS[unit]
        exact = np.asarray(time, dtype=np.float64) * factor
        whole = np.asarray(channel)
        if not np.isfinite(exact).all() or (len(exact) and exact.min() < 0):
            raise InputError(f"{name}: sample {place} has a time that is negative or not a number")
        if len(whole) and (whole.min() < 0 or (whole != whole.astype(np.int64)).any()):
            raise InputError(f"{name}: sample {place} has a channel that is no whole number of at least 0")
        times_us.append(np.floor(exact + 1e-6).astype(np.int64))
        channels.append(whole.astype(np.int64))
    return Events(times_us, channels)


def _each(samples: Sequence[Any], size: Any) -> Iterator[tuple[Any, Any]]:
    """Times and channels of each sample; a pixel's channel is (polarity, row, column)."""
    for sample in samples:
        names = getattr(getattr(sample, "dtype", None), "names", None)
        if not names:
            yield sample
            continue
        time = next((sample[each] for each in TIME_NAMES if each in names), None)
        if time is None or "x" not in names:
            raise InputError(f"events have the fields {', '.join(names)}; t and x are needed")
        width, height = (int(size[0]), int(size[1])) if size is not None else (int(sample["x"].max()) + 1, 1)
        if size is None and "y" in names:
            raise InputError(
                "events of a camera need the data set's sensor_size, which this one does not have"
            )
        row = sample["y"].astype(np.int64) if "y" in names else 0
        polarity = sample["p"].astype(np.int64) if "p" in names and (size is None or int(size[2]) > 1) else 0
        yield time, (polarity * height + row) * width + sample["x"].astype(np.int64)
