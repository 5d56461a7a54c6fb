"""A reader of the ATIS event camera's format with 40 bits an event, which N-MNIST and N-Caltech101 use."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sgbench.errors import InputError

EVENT_BYTES = 5
OVERFLOW_ROW = 240  # y of an entry that is no event, but an overflow of the clock
OVERFLOW_US = 1 << 13  # time added to all later events by an overflow
MOST_BYTES = 1 << 28  # of a recording; the longest known have a hundredth of it


class Pixels(NamedTuple):
    """Holds events of a camera in the order of the file; all arrays are [events]."""

    x: NDArray[np.int64]  # column
    y: NDArray[np.int64]  # row, from the top
    polarity: NDArray[np.int64]  # 0 darker, 1 brighter
    time_us: NDArray[np.int64]

    def channel(self, image: tuple[int, int, int], name: str) -> NDArray[np.int64]:
        """Compute the channel of each event, (p H + y) W + x, [events]."""
        polarities, height, width = image
        axes = (("x", self.x, width), ("y", self.y, height), ("p", self.polarity, polarities))
        for axis, value, size in axes:
            if len(value) and (value.min() < 0 or value.max() >= size):
                wrong = int(value[(value < 0) | (value >= size)][0])
                raise InputError(f"{name}: an event at {axis}={wrong}, outside 0..{size - 1}")
        return (self.polarity * height + self.y) * width + self.x


def parse(data: bytes, name: str) -> Pixels:
    """Parse events of five bytes: x, y, then one bit of polarity and 23 bits of time [us], big-endian.

    >>> [part.tolist() for part in parse(bytes([3, 4, 0x80, 1, 2]), "a.bin")]
    [[3], [4], [1], [258]]
    """
    if len(data) % EVENT_BYTES:
        raise InputError(f"{name}: {len(data)} bytes are no whole number of events; fetch it again")
    table = np.frombuffer(data, np.uint8).reshape(-1, EVENT_BYTES).astype(np.int64)
    x, y, high, middle, low = table.T
    is_overflow = y == OVERFLOW_ROW
    time_us = ((high & 127) << 16 | middle << 8 | low) + OVERFLOW_US * np.cumsum(is_overflow)
    return Pixels(*(column[~is_overflow] for column in (x, y, high >> 7, time_us)))


def read(path: Path) -> Pixels:
    """Read the events of a file."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path}: larger than any recording of its kind")
        return parse(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
