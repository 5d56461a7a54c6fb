"""Parts of a user's data from `.npz` files, as `sgbench data add` takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgbench.errors import InputError
from sgbench.yours.arrays import Unit

SAMPLES = ("x", "X", "values", "samples", "data")
LABELS = ("y", "Y", "labels", "label", "target", "targets")
EVENTS = ("sample", "time", "channel")
KEYS = "x and y; or sample, time and channel of each spike, and y"


def read_part(path: Path) -> tuple[tuple[Any, NDArray[Any]], NDArray[Any] | None]:
    """Read samples and labels of one file, and its `groups` where it has any.

    An array `x` with `y`; or, of spikes, three arrays of equal lengths (`sample`, `time`, `channel`) with `y`. A
    name that is none of these is not looked at.

    Raises:
        InputError: no such file, not NumPy's format, or arrays are missing; one line.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: not a .npz file of plain arrays ({reason}); write numpy.savez(path, x=x, y=y)"
        ) from error
    labels = next((arrays[name] for name in LABELS if name in arrays), None)
    values = next((arrays[name] for name in SAMPLES if name in arrays), None)
    if labels is None:
        raise InputError(f"{path}: has the arrays {', '.join(arrays) or 'none'}; it needs {KEYS}")
    groups = arrays.get("groups")
    if values is not None:
        return (values, labels), groups
    if not all(name in arrays for name in EVENTS):
        raise InputError(f"{path}: has the arrays {', '.join(arrays)}; it needs {KEYS}")
    return (_by_sample(arrays, len(labels), path), labels), groups


def _by_sample(arrays: dict[str, NDArray[Any]], count: int, path: Path) -> list[tuple[Any, Any]]:
    owner, time, channel = (arrays[name] for name in EVENTS)
    if not len(owner) == len(time) == len(channel):
        raise InputError(
            f"{path}: sample, time and channel have {len(owner)}, {len(time)} and {len(channel)} numbers"
        )
    if len(owner) and (owner.min() < 0 or owner.max() >= count):
        raise InputError(
            f"{path}: sample goes from {owner.min()} to {owner.max()}, but there are {count} labels"
        )
    order = np.argsort(owner, kind="stable")
    ends = np.searchsorted(owner[order], np.arange(1, count))
    return list(zip(np.split(time[order], ends), np.split(channel[order], ends), strict=True))


UNITS: tuple[Unit, ...] = ("s", "ms", "us")
