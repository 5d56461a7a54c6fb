"""A strict reader of arrays in .npz files: nothing is unpickled, and sizes are checked before memory is used."""

import lzma
import math
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from sgbench.datasets.formats import archives
from sgbench.errors import InputError

MAX_BYTES = 256 * 1024 * 1024  # of one unpacked array
PLAIN = "biufUS"  # NumPy's kinds of numbers and text; objects, records and times are refused
DAMAGED = (*archives.DAMAGED, lzma.LZMAError, struct.error, ValueError, OverflowError)
"""Errors that Python raises for an archive that is cut off, damaged or malicious."""
CHUNK = 2**20


def read_npz(path: Path, names: Sequence[str]) -> dict[str, np.ndarray[Any, Any]]:
    """Read the named arrays of a .npz file without unpickling anything."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            return {name: _member(archive, members, name, path) for name in names}
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError(f"{path}: no .npz file, cut off or damaged ({error}); fetch it again") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def _member(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str, path: Path
) -> np.ndarray[Any, Any]:
    """Read the array `name` of an open archive; members: maps file names to entries; path: for errors."""
    info = members.get(f"{name}.npy")
    if info is None:
        raise InputError(f"{path}: has no array '{name}'; it is another file than the published one")
    if info.file_size > MAX_BYTES:
        raise InputError(f"{path}: array '{name}' unpacks to {info.file_size} bytes, at most {MAX_BYTES} are read")
    with archive.open(info) as file:
        shape, is_columns_first, dtype = header(file, info.file_size, f"{path}: array '{name}'")
        data = file.read(MAX_BYTES)
    array = np.frombuffer(data, dtype)
    return array.reshape(shape[::-1]).T if is_columns_first else array.reshape(shape)


def header(file: IO[bytes], size: int, where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of a .npy file, up to the array's data.

    Returns the array's shape, whether it is stored column by column, and its type. `size`: bytes of the file, which the
    array must fit into. `where`: what an error calls the file.
    """
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, is_columns_first, dtype = read(file)
    except (ValueError, TypeError, SyntaxError, UnicodeDecodeError, RecursionError, MemoryError) as error:
        raise InputError(f"{where} is not in NumPy's format; write it again with numpy.savez") from error
    if dtype.kind not in PLAIN or dtype.hasobject:
        raise InputError(f"{where} holds {dtype}, not plain numbers; nothing is unpickled")
    are_counts = all(type(length) is int and 0 <= length <= size for length in shape)
    if not are_counts or math.prod(shape) * dtype.itemsize != size - file.tell():
        raise InputError(f"{where} is not as long as its header declares; write it again with numpy.savez")
    return shape, is_columns_first, dtype


def require_whole(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> None:
    """Read an archive's member to its end, so that `zipfile` compares its checksum."""
    try:
        with archive.open(info) as file:
            while file.read(CHUNK):
                pass
    except DAMAGED as error:
        raise InputError(f"{where} is damaged ({error}); write it again with numpy.savez") from error
