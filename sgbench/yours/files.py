"""Reads a user's data from `.npz` files, for `sgbench data add`."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import MAGIC_PREFIX
from numpy.typing import NDArray

from sgbench.datasets.formats import npz
from sgbench.errors import InputError
from sgbench.yours.arrays import Unit

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
