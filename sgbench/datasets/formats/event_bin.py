"""Recordings of the ATIS camera in 40 bits an event: N-MNIST and N-Caltech101."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sgbench.errors import InputError

EVENT_BYTES = 5
OVERFLOW_ROW = 240  # an event in this row says that the clock ran over
OVERFLOW_US = 1 << 13
MOST_BYTES = 1 << 28  # of a recording; the longest known have a hundredth


class Pixels(NamedTuple):
    """Holds events of a camera, in the order of the file."""

    x: NDArray[np.int64]
    y: NDArray[np.int64]
    polarity: NDArray[np.int64]  # 0 darker, 1 brighter
    time_us: NDArray[np.int64]

    def channel(self, image: tuple[int, int, int], name: str) -> NDArray[np.int64]:
        """Compute the channel of each event, (p H + y) W + x.

        Raises:
            InputError: an event outside the image.
        """
        polarities, height, width = image
        for what, value, most in (
            ("x", self.x, width),
            ("y", self.y, height),
            ("p", self.polarity, polarities),
        ):
            if len(value) and (value.min() < 0 or value.max() >= most):
                wrong = int(value[(value < 0) | (value >= most)][0])
                raise InputError(f"{name}: an event at {what}={wrong}, outside 0..{most - 1}")
        return (self.polarity * height + self.y) * width + self.x


def parse(data: bytes, name: str) -> Pixels:
    """Read events from bytes: x, y, then polarity and a 23-bit time in microseconds, big-endian.

    Raises:
        InputError: not a whole number of events.

    >>> [part.tolist() for part in parse(bytes([3, 4, 0x80, 1, 2]), "a.bin")]
    [[3], [4], [1], [258]]
    """
    if len(data) % EVENT_BYTES:
        raise InputError(f"{name}: {len(data)} bytes are no whole number of events; fetch it again")
    table = np.frombuffer(data, np.uint8).reshape(-1, EVENT_BYTES).astype(np.int64)
    x, y, high, middle, low = table.T
    over = y == OVERFLOW_ROW
    time_us = ((high & 127) << 16 | middle << 8 | low) + OVERFLOW_US * np.cumsum(over)
    return Pixels(*(part[~over] for part in (x, y, high >> 7, time_us)))


def read(path: Path) -> Pixels:
    """Read the events of a file.

    Raises:
        InputError: it cannot be read, is far too large or cut off.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path}: larger than any recording of its kind")
        return parse(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
