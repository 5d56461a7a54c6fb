"""The fused engine's loops, compiled by numba for float32 and float64.

Legend: n steps of a chunk of time, B batch, M neurons, K inputs; u membrane potential, w second variable, s spikes,
x = u - threshold. `LinearSpec` has the equations. Each kernel works on a range of samples or rows that it writes
alone, so any number of threads gives the same bits. Sums run in a fixed order; nothing is contracted or reordered
in the forward pass, which therefore rounds as torch does. A loop over neurons holds no branch: LLVM makes vectors
of it.
"""

from __future__ import annotations

import numba
import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros

WORD = 64  # spikes per word of packed bits
SUBTRACT, SUBTRACT_DECAYED, ZERO, NONE = range(4)
UNWIRED, ONE_TO_ONE, ALL_TO_ALL = range(3)
GIVEN, ATAN, FAST_SIGMOID, TRIANGLE = range(4)  # where a surrogate derivative comes from

_jit = numba.njit(nogil=True, cache=True, error_model="numpy")
_row = numba.njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
_jit_reordered = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
_row_reordered = numba.njit(
    nogil=True, cache=True, error_model="numpy", forceinline=True, fastmath={"contract", "nsz"}
)


@_row
def add_rows(out, o, rows, index, value, first, last):  # type: ignore[no-untyped-def]
    """out[o] += sum over events e in [first, last) of value[e] rows[index[e]]; no values means ones."""
    size = out.shape[1]
    e = first
    if value.size:
        while e < last:
            a, p = index[e], value[e]
            for m in range(size):
                out[o, m] += p * rows[a, m]
            e += 1
    while e + 4 <= last:  # four rows for one load and store of the sum
        a, b, c, d = index[e], index[e + 1], index[e + 2], index[e + 3]
        for m in range(size):
            out[o, m] += (rows[a, m] + rows[b, m]) + (rows[c, m] + rows[d, m])
        e += 4
    if e + 2 <= last:
        a, b = index[e], index[e + 1]
        for m in range(size):
            out[o, m] += rows[a, m] + rows[b, m]
        e += 2
    if e < last:
        a = index[e]
        for m in range(size):
            out[o, m] += rows[a, m]


@_jit
def gather(indptr, index, value, rows, begin, out, low, high):  # type: ignore[no-untyped-def]
    """out[r] = begin, or itself, + the sum of the rows that the events of r name, for r in [low, high)."""
    for r in range(low, high):
        if begin.size:
            for m in range(out.shape[1]):
                out[r, m] = begin[m]
        add_rows(out, r, rows, index, value, indptr[r], indptr[r + 1])


@_jit
def transpose(indptr, index, value, new_indptr, new_index, new_value):  # type: ignore[no-untyped-def]
    """Events sorted by input: for each input the rows that name it, in ascending order."""
    inputs = new_indptr.size - 1
    rows = indptr.size - 1
    new_indptr[:] = 0
    for e in range(indptr[0], indptr[rows]):
        new_indptr[index[e] + 1] += 1
    for k in range(inputs):
        new_indptr[k + 1] += new_indptr[k]
    for r in range(rows):
        for e in range(indptr[r], indptr[r + 1]):
            place = new_indptr[index[e]]
            new_index[place] = r
            if value.size:
                new_value[place] = value[e]
            new_indptr[index[e]] += 1
    for k in range(inputs, 0, -1):
        new_indptr[k] = new_indptr[k - 1]
    new_indptr[0] = 0


@_row
def unpack_row(words, r, index, place):  # type: ignore[no-untyped-def]
    """Write the positions of the set bits of row r from index[place] on; returns the place behind them."""
    for block in range(words.shape[1]):
        word = words[r, block]
        while word:
            index[place] = block * WORD + np.int64(trailing_zeros(word))
            place += 1
            word &= word - np.uint64(1)
    return place


@_jit
def count_bits(words, indptr):  # type: ignore[no-untyped-def]
    """indptr[R + 1] of the set bits of words [R, blocks]."""
    indptr[0] = 0
    for r in range(words.shape[0]):
        count = 0
        for block in range(words.shape[1]):
            word = words[r, block]
            while word:
                count += 1
                word &= word - np.uint64(1)
        indptr[r + 1] = indptr[r] + count


@_jit
def unpack(words, indptr, index):  # type: ignore[no-untyped-def]
    """Positions of the set bits of each row."""
    for r in range(words.shape[0]):
        unpack_row(words, r, index, indptr[r])


@_row
def pack_row(s, b, words, r):  # type: ignore[no-untyped-def]
    """One bit for each s[b] > 0."""
    size = s.shape[1]
    for block in range(words.shape[1]):
        word = np.uint64(0)
        first = block * WORD
        for m in range(min(WORD, size - first)):
            word |= np.uint64(s[b, first + m] > 0) << np.uint64(m)
        words[r, block] = word


@_row
def next_potential(u, s, b, drive, d, threshold, h, decay, base, reset, x, r):  # type: ignore[no-untyped-def]
    """u[b] after one step and x[r]; drive[d], and threshold[h] in force where `base` is what a reset subtracts."""
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


@_jit
def advance(  # type: ignore[no-untyped-def]
    current,
    u,
    w,
    s,
    coefficients,
    reset,
    second,
    fires,
    wiring,
    wires,
    x,
    seconds,
    nows,
    spikes,
    words,
    low,
    high,
):
    """Steps of samples [low, high): states u, w, s [B, M] move; x and what has a size is written.

    Rows of what lies over time, [n * B, M], are t * B + b; `current` and `x` may be the same memory. `wires` is V transposed [M, M], or V [1, M] of
    one-to-one connections. Rows are named by number, for views of them would be counted and cost as much as a step.
    """
    decay, base, gain, coupling, second_decay, second_potential, second_input, second_spike, slope = (
        coefficients
    )
    batch, size = u.shape
    scratch = np.empty((2, size), u.dtype)  # driven current, drive
    threshold = np.empty((1, size), u.dtype)
    threshold[0] = base
    fired = np.empty((1, (size + WORD - 1) // WORD), np.uint64)
    names = np.empty(size, np.int32)
    no_value = np.empty(0, u.dtype)
    for b in range(low, high):
        count = 0
        if wiring == ALL_TO_ALL:
            pack_row(s, b, fired, 0)
            count = unpack_row(fired, 0, names, 0)
        for r in range(b, current.shape[0], batch):
            for m in range(size):
                scratch[0, m] = current[r, m]
            d = 0
            if wiring == ALL_TO_ALL:
                add_rows(scratch, 0, wires, names, no_value, 0, count)
            elif wiring == ONE_TO_ONE:
                for m in range(size):
                    scratch[0, m] += s[b, m] * wires[0, m]
            if nows.size:
                for m in range(size):
                    nows[r, m] = scratch[0, m]
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
            next_potential(u, s, b, scratch, d, threshold, 0, decay, base, reset, x, r)
            if fires:
                for m in range(size):
                    s[b, m] = x[r, m] > 0
                if spikes.size:
                    for m in range(size):
                        spikes[r, m] = s[b, m]
                if words.size:
                    pack_row(x, r, words, r)
                if wiring == ALL_TO_ALL:
                    pack_row(x, r, fired, 0)
                    count = unpack_row(fired, 0, names, 0)


@_row_reordered
def slope_row(x, r, shape, steepness, height, out):  # type: ignore[no-untyped-def]
    """The surrogate derivative of row r, for the shapes that have a number here."""
    size = x.shape[1]
    one = x.dtype.type(1)
    if shape == ATAN:
        for m in range(size):
            z = steepness * x[r, m]
            out[m] = height / (one + z * z)
    elif shape == FAST_SIGMOID:
        for m in range(size):
            z = one + abs(steepness * x[r, m])
            out[m] = height / (z * z)
    else:
        for m in range(size):
            out[m] = height * max(one - abs(steepness * x[r, m]), one - one)


@_row_reordered
def total_of_spikes(  # type: ignore[no-untyped-def]
    gs, x, seconds, r, lu, lw, dnow, b, coefficients, reset, attached, second, wiring, wires, total
):
    """ds of one row: from outside, and from the next step through V, w and the reset."""
    decay, base, _, _, _, _, _, second_spike, slope = coefficients
    size = lu.shape[1]
    for m in range(size):
        total[m] = 0
    if gs.size:
        for m in range(size):
            total[m] = gs[r, m]
    if wiring == ONE_TO_ONE:
        for m in range(size):
            total[m] += wires[0, m] * dnow[b, m]
    if second:
        for m in range(size):
            total[m] += second_spike[m] * lw[b, m]
    if not attached:
        return
    if reset == SUBTRACT:
        for m in range(size):
            total[m] -= base[m] * lu[b, m]
    elif reset == SUBTRACT_DECAYED:
        for m in range(size):
            total[m] -= decay[m] * base[m] * lu[b, m]
    elif reset == ZERO:
        for m in range(size):
            total[m] -= decay[m] * (x[r, m] + base[m]) * lu[b, m]
        if second:
            for m in range(size):
                total[m] -= decay[m] * slope[m] * seconds[r, m] * lu[b, m]


@_jit_reordered
def adjoint(  # type: ignore[no-untyped-def]
    gs, gx, gu, gw, psi, x, seconds, lu, lw, dnow, coefficients, reset, attached, second, fires, wiring, wires,
    shape, steepness, height, dcurrent, kept_u, kept_w, kept_x, kept_s, low, high,
):  # fmt: skip
    """Adjoints of samples [low, high), from the chunk's last step to its first.

    lu, lw and dnow [B, M] hold the adjoints of u, w and the current of the step after the chunk, and then those
    of its first step. Rows are those of `advance`; `gs` and `dcurrent` may be the same memory. Arrays without a size are not there. What is `kept` is for
    gradients of coefficients; gu and gw, gradients of the state after the chunk's last step.
    """
    decay, _, gain, coupling, second_decay, second_potential, second_input, _, slope = coefficients
    batch, size = lu.shape
    total = np.empty(size, lu.dtype)
    p = np.empty(size, lu.dtype)
    into_x = np.empty(size, lu.dtype)
    plain = fires and gs.size and not (
        second or wiring or attached or reset == ZERO or gx.size or gu.size or gw.size or kept_u.size or kept_s.size
    )  # fmt: skip
    last = dcurrent.shape[0] - batch
    for b in range(low, high):
        for r in range(last + b, -1, -batch):
            if shape:
                slope_row(x, r, shape, steepness, height, p)
            elif psi.size:
                for m in range(size):
                    p[m] = psi[r, m]
            if plain:
                for m in range(size):
                    total[m] = gs[r, m]
                for m in range(size):
                    lu[b, m] = p[m] * total[m] + decay[m] * lu[b, m]
                for m in range(size):
                    dcurrent[r, m] = lu[b, m]
                continue
            for m in range(size):
                into_x[m] = 0
            if fires:
                total_of_spikes(
                    gs,
                    x,
                    seconds,
                    r,
                    lu,
                    lw,
                    dnow,
                    b,
                    coefficients,
                    reset,
                    attached,
                    second,
                    wiring,
                    wires,
                    total,
                )
                for m in range(size):
                    into_x[m] = p[m] * total[m]
                if reset == ZERO:
                    for m in range(size):
                        lu[b, m] = 0 if x[r, m] > 0 else lu[b, m]
                if kept_s.size:
                    for m in range(size):
                        kept_s[r, m] = total[m]
            if gx.size:
                for m in range(size):
                    into_x[m] += gx[r, m]
            for m in range(size):
                lu[b, m] = into_x[m] + decay[m] * lu[b, m]
            if second:
                for m in range(size):
                    lu[b, m] += second_potential[m] * lw[b, m]
            if gu.size and r >= last:
                for m in range(size):
                    lu[b, m] += gu[b, m]
            for m in range(size):
                dcurrent[r, m] = lu[b, m]
            if second:
                for m in range(size):
                    lw[b, m] = second_decay[m] * lw[b, m] + coupling[m] * lu[b, m] - slope[m] * into_x[m]
                if gw.size and r >= last:
                    for m in range(size):
                        lw[b, m] += gw[b, m]
                for m in range(size):
                    dcurrent[r, m] = gain[m] * lu[b, m] + second_input[m] * lw[b, m]
            if wiring == ONE_TO_ONE:
                for m in range(size):
                    dnow[b, m] = dcurrent[r, m]
            if kept_u.size:
                for m in range(size):
                    kept_u[r, m] = lu[b, m]
                    kept_x[r, m] = into_x[m]
            if kept_w.size:
                for m in range(size):
                    kept_w[r, m] = lw[b, m]
