"""Events of some rows, and sums over them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from torch import Tensor

from sgbench.engine.arrays import FLOATS, NOTHING, bits_of, in_parts, rows_of
from sgbench.engine.kernels import events
from sgbench.engine.kernels.arguments import InputCurrent, Readout, ReadoutBack, Taken

Sent = tuple[np.ndarray, Readout]
"""Packed spikes to be written, and the readout that gets them."""


class Rows(NamedTuple):
    """Holds events of some rows: those of row r are index[indptr[r]:indptr[r + 1]]."""

    indptr: np.ndarray  # int64 [R + 1], need not start at 0
    index: np.ndarray  # int32
    value: np.ndarray | None  # None where all are 1

    @property
    def count(self) -> int:
        """Count the events of all rows."""
        return int(self.indptr[-1] - self.indptr[0])

    def value_as(self, number: type) -> np.ndarray:
        """Convert the values to a float type; empty where all are 1."""
        return np.empty(0, number) if self.value is None else self.value.astype(number, copy=False)

    def window(self, first: int, last: int) -> Rows:
        """Select rows [first, last)."""
        return self._replace(indptr=self.indptr[first : last + 1])


def no_events(number: type) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an empty indptr, index and value."""
    return np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, number)


def no_readout(number: type) -> tuple[Readout, ReadoutBack]:
    """Return placeholders of an absent readout, forward and backward."""
    rows, line, none = NOTHING[number], np.empty(0, number), number(0)
    back = ReadoutBack(rows, 0, rows, none, NOTHING[np.uint64], rows, line)
    return Readout(rows, line, rows, none, rows), back


def nothing_arrives(number: type) -> InputCurrent:
    """Return the placeholder of absent events."""
    rows, line = NOTHING[number], np.empty(0, number)
    return InputCurrent(rows, *no_events(number), NOTHING[np.uint64], rows, line)


def nothing_along(number: type) -> tuple[InputCurrent, Sent, ReadoutBack, Taken]:
    """Return placeholders of absent events and readout: `driven`, `sent`, `read_back` and `taken` of the loops."""
    readout, back = no_readout(number)
    taken = Taken(*no_events(number), NOTHING[number], np.empty(0, number))
    return nothing_arrives(number), (NOTHING[np.uint64], readout), back, taken


def unpacked(words: Tensor) -> Rows:
    """Unpack spikes [n, B, blocks] to the rows of their events."""
    bits = bits_of(words)
    indptr = np.empty(len(bits) + 1, np.int64)
    events.count_bits(bits, indptr)
    index = np.empty(indptr[-1], np.int32)
    events.unpack(bits, indptr, index)
    return Rows(indptr, index, None)


def sum_rows(rows: Rows, weights: Tensor, begin: np.ndarray, out: Tensor) -> None:
    """Compute out[r] = begin + value weights[index], summed over the events of each row r; out is [..., M]."""
    width = out.shape[-1]
    in_parts(
        events.gather,
        len(rows.indptr) - 1,
        out.numel(),
        rows.indptr,
        rows.index,
        rows.value_as(FLOATS[out.dtype]),
        rows_of(weights, width),
        begin,
        rows_of(out, width),
    )


class ProductSum:
    """Adds up products of events with dense rows, out[k] += value dense[r] over the events (r, k).

    The events are sorted by k first, so that each row of `out` is a sum that one thread makes in a fixed order. The
    room for sorting is kept from call to call: new memory would be cold each time.

    Args:
        inputs: number of values that k can have.
    """

    def __init__(self, inputs: int) -> None:
        self.indptr = np.empty(inputs + 1, np.int64)
        self.index = np.empty(0, np.int32)
        self.value: np.ndarray | None = None

    def add(self, rows: Rows, dense: Tensor, out: Tensor) -> None:
        """Add the events of `rows`; dense is [..., M], out [inputs, M]."""
        width, count = out.shape[-1], rows.count
        value = rows.value_as(FLOATS[out.dtype])
        if len(self.index) < count:
            self.index = np.empty(count + count // 4, np.int32)
            self.value = None
        if value.size and self.value is None:
            self.value = np.empty(len(self.index), value.dtype)
        new_value = self.value if value.size and self.value is not None else value
        events.transpose(rows.indptr, rows.index, value, self.indptr, self.index, new_value)
        in_parts(
            events.gather,
            len(out),
            count * width,
            self.indptr,
            self.index,
            new_value,
            rows_of(dense, width),
            np.empty(0, value.dtype),
            rows_of(out, width),
        )
