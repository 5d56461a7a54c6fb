"""Parts of a user's data from `.npz` files, as `sgbench data add` takes them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgbench.errors import InputError
from sgbench.yours.arrays import Unit

SAMPLES = ("x", "X", "values", "samples", "data")
LABELS = ("y", "Y", "labels", "label", "target", "targets")
EVENTS = ("sample", "time", "channel")
GROUPS = "groups"
NAME_LENGTHS_AT = 26
"""Of a member's own header in a zip file, where the lengths of its name and of what else it has are."""
KEYS = "x and y; or sample, time and channel of each spike, and y"


def read_part(path: Path, groups: str | None = None) -> tuple[tuple[Any, NDArray[Any]], NDArray[Any] | None]:
    """Read samples and labels of one file, and the groups of its samples where it has any.

    An array `x` with `y`; or, of spikes, three arrays of equal lengths (`sample`, `time`, `channel`) with `y`. A
    name that is none of these is not looked at. Arrays are mapped where the file holds them as they are
    (`numpy.savez`), and read whole where they are compressed.

    Args:
        path: of the file.
        groups: name of the array of the groups; None takes `groups` where there is one.

    Raises:
        InputError: no such file, not NumPy's format, or arrays are missing; one line.
    """
    try:
        arrays = _arrays(path, {*SAMPLES, *LABELS, *EVENTS, groups or GROUPS})
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: not a .npz file of plain arrays ({reason}); write numpy.savez(path, x=x, y=y)"
        ) from error
    names_text = ", ".join(arrays) or "none"
    labels = next((arrays[name] for name in LABELS if arrays.get(name) is not None), None)
    values = next((arrays[name] for name in SAMPLES if arrays.get(name) is not None), None)
    if labels is None:
        raise InputError(f"{path}: has the arrays {names_text}; it needs {KEYS}")
    if groups is not None and groups not in arrays:
        raise InputError(f"{path}: has the arrays {names_text}, and no '{groups}' for --groups")
    owner = arrays.get(groups or GROUPS)
    if values is not None:
        return (values, labels), owner
    events = {name: arrays[name] for name in EVENTS if arrays.get(name) is not None}
    if len(events) < len(EVENTS):
        raise InputError(f"{path}: has the arrays {names_text}; it needs {KEYS}")
    return (_by_sample(events, len(labels), path), labels), owner


def _arrays(path: Path, wanted: set[str]) -> dict[str, Any]:
    """Read the arrays of a file by name; those not asked for are None."""
    with np.load(path, allow_pickle=False) as archive, zipfile.ZipFile(path) as packed:
        arrays: dict[str, Any] = dict.fromkeys(archive.files)
        for name in wanted & set(archive.files):
            member = packed.getinfo(f"{name}.npy")
            arrays[name] = archive[name] if member.compress_type else _mapped(path, packed, member)
    return arrays


def _mapped(path: Path, packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """Map an uncompressed array of a file into memory; a page of it is read when it is looked at."""
    with packed.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, by_column, dtype = read(stream)
        header_bytes = stream.tell()
    if dtype.hasobject or not all(shape):
        with packed.open(member) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)
    with path.open("rb") as file:
        file.seek(member.header_offset + NAME_LENGTHS_AT)
        name_bytes, extra_bytes = (int.from_bytes(file.read(2), "little") for _ in range(2))
    start = member.header_offset + NAME_LENGTHS_AT + 4 + name_bytes + extra_bytes + header_bytes
    order = "F" if by_column else "C"
    return np.memmap(path, dtype, mode="c", offset=start, shape=shape, order=order).view(np.ndarray)


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
