"""Packed events as NumPy arrays, sums over them, and placeholders for absent arguments of loops."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fastspiking.arrays import FLOATS, NOTHING, bits_of, in_parts, rows_of
from fastspiking.kernels import events
from fastspiking.kernels.arguments import EventGradients, InputCurrent, Readout, ReadoutBack
from fastspiking.kernels.codes import WORD
from fastspiking.signals.spikes import SparseSpikes

Sent = tuple[np.ndarray, Readout]
"""Where a generated loop sends its spikes: an array of packed bits [rows, blocks of 64], and a readout."""


class Rows(NamedTuple):
    """Holds the events of R rows, as in CSR form: those of row r are index[indptr[r]:indptr[r + 1]]."""

    indptr: np.ndarray  # int64 [R + 1], need not start at 0
    index: np.ndarray  # int32, the input of each event
    value: np.ndarray | None  # of each event; None where all are 1

    @staticmethod
    def of(events: SparseSpikes) -> Rows:
        """Return packed events [T, B, K] on the CPU as the events of T B rows, without a copy."""
        value = None if events.value is None else events.value.numpy()
        return Rows(events.indptr.numpy(), events.index.numpy(), value)

    @property
    def count(self) -> int:
        return int(self.indptr[-1] - self.indptr[0])

    def value_as(self, number: type) -> np.ndarray:
        """Return the values in a float type; an empty array where all are 1."""
        return np.empty(0, number) if self.value is None else self.value.astype(number, copy=False)

    def window(self, first: int, last: int) -> Rows:
        """Return the events of rows [first, last), without a copy."""
        return self._replace(indptr=self.indptr[first : last + 1])


def no_events(number: type) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return indptr, index and value of no rows of events."""
    return np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, number)


def no_readout(number: type) -> tuple[Readout, ReadoutBack]:
    """Return the arguments that stand for an absent readout, forward and backward."""
    rows, line, none = NOTHING[number], np.empty(0, number), number(0)
    back = ReadoutBack(rows, 0, rows, none, NOTHING[np.uint64], rows, line)
    return Readout(rows, line, rows, none, rows), back


def absent_current(number: type) -> InputCurrent:
    rows, line = NOTHING[number], np.empty(0, number)
    return InputCurrent(rows, *no_events(number), NOTHING[np.uint64], rows, line)


def absent_neighbours(number: type) -> tuple[InputCurrent, Sent, ReadoutBack, EventGradients]:
    """Return what generated loops get for neighbours that are absent: input events, and a readout, each both ways.

    In order: the input current from events, the packed spikes with the readout that they advance, the readout of the
    backward pass, and the events with the gradients of their weights. All arrays have size 0.
    """
    readout, back = no_readout(number)
    taken = EventGradients(*no_events(number), NOTHING[number], np.empty(0, number))
    return absent_current(number), (NOTHING[np.uint64], readout), back, taken


def listed_entries(rows: np.ndarray, most: float) -> Rows | None:
    """Return the entries of rows [R, N] that are not 0 as events; None if these are more than `most`.

    They are found as bits first, so that their count is known before memory for them is needed. Values are listed only
    where an entry is neither 0 nor 1 (`others`, by row).
    """
    indptr, others = np.zeros(len(rows) + 1, np.int64), np.empty(len(rows), np.bool_)
    words = np.empty((len(rows), -(-rows.shape[1] // WORD)), np.uint64)
    in_parts(events.find_entries, len(rows), rows.size, rows, words, indptr, others)
    np.cumsum(indptr, out=indptr)
    if indptr[-1] > most:
        return None
    index, value = np.empty(indptr[-1], np.int32), None
    in_parts(events.unpack, len(rows), rows.size, words, indptr, index)
    if others.any():
        value = np.empty(indptr[-1], rows.dtype)
        in_parts(events.list_values, len(rows), rows.size, rows, indptr, index, value)
    return Rows(indptr, index, value)


def sparse_form(x: Tensor, most: float) -> SparseSpikes | Tensor:
    """Return input [T, B, N] as events if at most the share `most` of it is not 0, else as it is."""
    if x.requires_grad or x.device.type != "cpu" or x.dtype not in FLOATS or not x.numel():
        return x
    rows = listed_entries(x.contiguous().view(-1, x.shape[-1]).numpy(), most * x.numel())
    if rows is None:
        return x
    indptr, index, value = (None if array is None else torch.from_numpy(array) for array in rows)
    return SparseSpikes(indptr, index, value, (x.shape[0], x.shape[1], x.shape[2]), x.dtype)  # type: ignore[arg-type]


def unpack_spikes(words: Tensor) -> Rows:
    """Return packed spikes [n, B, blocks of 64 bits] as the events of n B rows."""
    bits = bits_of(words)
    indptr = np.empty(len(bits) + 1, np.int64)
    events.count_bits(bits, indptr)
    index = np.empty(indptr[-1], np.int32)
    in_parts(events.unpack, len(bits), WORD * bits.size, bits, indptr, index)
    return Rows(indptr, index, None)


def sum_rows(rows: Rows, weights: Tensor, begin: np.ndarray, out: Tensor) -> None:
    """Compute out[r] = begin + sum of value * weights[index] over the events of each row r.

    `weights`: [K, M]. `begin`: bias [M]; of size 0, `out` keeps its content and the sums are added to it. `out`: [...,
    M].
    """
    width, row_events = out.shape[-1], (rows.indptr, rows.index, rows.value_as(FLOATS[out.dtype]))
    arguments = (*row_events, rows_of(weights, width), begin, rows_of(out, width))
    in_parts(events.gather, len(rows.indptr) - 1, out.numel(), *arguments)


class ProductSum:
    """Adds products of events with dense rows: out[k] += value * dense[r] for each event of input k in row r.

    The events are sorted by k first, so that one thread sums each row of `out` in a fixed order. Memory for sorting is
    reused from call to call, since new memory is not in the cache. `inputs`: number of inputs K.
    """

    def __init__(self, inputs: int) -> None:
        self.indptr = np.empty(inputs + 1, np.int64)
        self.index = np.empty(0, np.int32)
        self.value: np.ndarray | None = None

    def add(self, rows: Rows, dense: Tensor, out: Tensor) -> None:
        """Add the products of the events of `rows` with dense [..., M], which has as many rows, to out [K, M]."""
        width, count = out.shape[-1], rows.count
        value = rows.value_as(FLOATS[out.dtype])
        if len(self.index) < count:
            self.index = np.empty(count + count // 4, np.int32)
            self.value = None
        if value.size and self.value is None:
            self.value = np.empty(len(self.index), value.dtype)
        new_value = self.value if value.size and self.value is not None else value
        events.transpose(rows.indptr, rows.index, value, self.indptr, self.index, new_value)
        dense_rows, no_bias = rows_of(dense, width), np.empty(0, value.dtype)
        arguments = (self.indptr, self.index, new_value, dense_rows, no_bias, rows_of(out, width))
        in_parts(events.gather, len(out), count * width, *arguments)
