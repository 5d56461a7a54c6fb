"""Steps forward."""

from __future__ import annotations

import numpy as np

from sgbench.engine.kernels.codes import (
    ALL_TO_ALL,
    ONE_TO_ONE,
    SUBTRACT,
    SUBTRACT_DECAYED,
    WORD,
    ZERO,
    entry,
    loop,
    row,
)
from sgbench.engine.kernels.events import add_rows, pack_row, unpack_row


@row
def next_potential(u, s, b, drive, d, threshold, h, decay, base, reset, x, r):
    """Advance u[b] by one step and set x[r]; drive[d], and threshold[h] where `base` is what a reset subtracts."""
    size = u.shape[1]
    if reset == SUBTRACT:
        for m in range(size):
            u[b, m] = (decay[m] * u[b, m] + drive[d, m]) - base[m] * s[b, m]
            x[r, m] = u[b, m] - threshold[h, m]
    elif reset == SUBTRACT_DECAYED:
        for m in range(size):
            u[b, m] = decay[m] * (u[b, m] - base[m] * s[b, m]) + drive[d, m]
            x[r, m] = u[b, m] - threshold[h, m]
    elif reset == ZERO:
        one = u.dtype.type(1)  # a plain 1 would turn float32 into float64
        for m in range(size):
            u[b, m] = decay[m] * ((one - s[b, m]) * u[b, m]) + drive[d, m]
            x[r, m] = u[b, m] - threshold[h, m]
    else:
        for m in range(size):
            u[b, m] = decay[m] * u[b, m] + drive[d, m]
            x[r, m] = u[b, m] - threshold[h, m]


@loop
def advance_rows(
    current, indptr, index, value, columns, begin, u, w, s, coefficients, reset, second, gained, fires, wiring,
    wires, x, seconds, nows, spikes, words, scratch, threshold, fired, names, low, high,
):  # fmt: skip
    """Compute what `advance` does, with room for current and drive, for packed spikes and for their names."""
    decay, base, gain, coupling, second_decay, second_potential, second_input, second_spike, slope = (
        coefficients
    )
    batch, size = u.shape
    no_value = base[:0]
    for begin_of_step in range(0, x.shape[0], batch):
        for b in range(low, high):
            r = begin_of_step + b
            # 1. The current: given or summed over events, and what the last spikes send back.
            if columns.size:
                for m in range(size):
                    scratch[0, m] = begin[m]
                add_rows(scratch, 0, columns, index, value, indptr[r], indptr[r + 1])
            else:
                for m in range(size):
                    scratch[0, m] = current[r, m]
            d = 0
            if wiring == ALL_TO_ALL:
                pack_row(s, b, fired, 0)
                add_rows(scratch, 0, wires, names, no_value, 0, unpack_row(fired, 0, names, 0))
            elif wiring == ONE_TO_ONE:
                for m in range(size):
                    scratch[0, m] += s[b, m] * wires[0, m]
            if nows.size:
                for m in range(size):
                    nows[r, m] = scratch[0, m]
            # 2. The second variable, and what drives u: row d of scratch.
            if second:
                for m in range(size):
                    w[b, m] = (
                        (second_decay[m] * w[b, m] + second_potential[m] * u[b, m])
                        + second_input[m] * scratch[0, m]
                    ) + second_spike[m] * s[b, m]
                    scratch[1, m] = gain[m] * scratch[0, m] + coupling[m] * w[b, m]
                    threshold[0, m] = base[m] + slope[m] * w[b, m]
                d = 1
                if seconds.size:
                    for m in range(size):
                        seconds[r, m] = w[b, m]
            elif gained:
                for m in range(size):
                    scratch[0, m] = gain[m] * scratch[0, m]
            # 3. The potential, and the spikes.
            next_potential(u, s, b, scratch, d, threshold, 0, decay, base, reset, x, r)
            if fires:
                for m in range(size):
                    s[b, m] = x[r, m] > 0
                if spikes.size:
                    for m in range(size):
                        spikes[r, m] = s[b, m]
                if words.size:
                    pack_row(x, r, words, r)


@entry
def advance(
    current, indptr, index, value, columns, begin, u, w, s, coefficients, reset, second, gained, fires, wiring,
    wires, x, seconds, nows, spikes, words, low, high,
):  # fmt: skip
    """Make the steps of samples [low, high): states u, w, s [B, M] move; x and what has a size is written.

    Rows of what lies over time, [T * B, M], are t * B + b. The current is given, and may be the memory of x; or it
    is `begin` plus the sum of those rows of `columns` that the events of a row name. `wires` is V transposed
    [M, M], or V [1, M] of one-to-one connections.
    """
    size = u.shape[1]
    rows = np.empty((3, size), u.dtype)
    rows[2] = coefficients[1]
    fired = np.empty((1, (size + WORD - 1) // WORD), np.uint64)
    advance_rows(
        current, indptr, index, value, columns, begin, u, w, s, coefficients, reset, second, gained, fires, wiring,
        wires, x, seconds, nows, spikes, words, rows[:2], rows[2:], fired, np.empty(size, np.int32), low, high,
    )  # fmt: skip
