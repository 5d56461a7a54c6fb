"""Makes arrays that may be larger than memory: large ones are mapped from temporary files."""

import contextlib
import os
import tempfile
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sgbench.paths import default_data_dir

IN_MEMORY_BYTES = 2**26
"""Largest array in memory [bytes]; larger ones go into a file, which the system removes with its last array."""


def open_temporary_file() -> BinaryIO:
    """Open an empty temporary file in the data root; closing deletes it."""
    folder = default_data_dir()
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryFile(dir=folder)  # type: ignore[return-value]


def empty_array(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Create an array of arbitrary values, in memory or, if it is large, in a file.

    >>> empty_array((2, 3), np.float32).shape
    (2, 3)
    """
    bytes_needed = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if bytes_needed <= IN_MEMORY_BYTES:
        return np.empty(shape, dtype)
    with open_temporary_file() as file:
        if hasattr(os, "posix_fallocate"):  # otherwise a full disk would kill the process later
            os.posix_fallocate(file.fileno(), 0, bytes_needed)
        return np.memmap(file, dtype, mode="w+", shape=shape).view(np.ndarray)


class SpilledArrays:
    """Collects arrays one by one, about 64 MB of them in memory and the others in a temporary file.

    >>> spilled = SpilledArrays()
    >>> spilled.add(np.arange(2))
    >>> spilled.add(np.arange(3))
    >>> [array.tolist() for array in spilled.arrays()], spilled.joined(np.int32).tolist()
    ([[0, 1], [0, 1, 2]], [0, 1, 0, 1, 2])
    """

    def __init__(self) -> None:
        self._in_memory: list[NDArray[Any]] = []
        self._in_memory_bytes = 0
        self._locations: list[tuple[int, np.dtype[Any], tuple[int, ...]]] = []
        self._file: BinaryIO | None = None

    def add(self, array: NDArray[Any]) -> None:
        self._in_memory.append(array)
        self._in_memory_bytes += array.nbytes
        if self._in_memory_bytes > IN_MEMORY_BYTES:
            self._write()

    def arrays(self) -> list[NDArray[Any]]:
        """Return all arrays, mapped from the file if they were too large for memory."""
        if self._file is None:
            return self._in_memory
        self._write()
        self._file.flush()
        mapped = np.memmap(self._file, np.uint8, mode="c").view(np.ndarray)
        return [
            mapped[start : start + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize].view(dtype).reshape(shape)
            for start, dtype, shape in self._locations
        ]

    def joined(self, dtype: DTypeLike) -> NDArray[Any]:
        """Join arrays [n, ...], whose n may differ, along their first axis, converted to a dtype."""
        arrays, start = self.arrays(), 0
        result = empty_array((sum(map(len, arrays)), *(arrays[0].shape[1:] if arrays else ())), dtype)
        for array in arrays:
            result[start : start + len(array)] = array
            start += len(array)
        return result

    def __del__(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # the disk may be full
                self._file.close()  # mapped arrays stay valid

    def _write(self) -> None:
        self._file = open_temporary_file() if self._file is None else self._file
        for array in self._in_memory:
            self._locations.append((self._file.tell(), array.dtype, array.shape))
            self._file.write(np.ascontiguousarray(array).tobytes())
        self._in_memory, self._in_memory_bytes = [], 0


def stack_arrays(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Stack arrays of one shape along a new first axis.

    >>> stack_arrays([np.zeros(2, int), np.ones(2)]).tolist()
    [[0.0, 0.0], [1.0, 1.0]]
    """
    stack = empty_array((len(arrays), *arrays[0].shape), np.result_type(*{array.dtype for array in arrays}))
    for index, array in enumerate(arrays):
        stack[index] = array
    return stack
