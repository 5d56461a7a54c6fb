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
_jit_reordered = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})


@_jit
def add_rows(total, rows, index, value, first, last):  # type: ignore[no-untyped-def]
    """total[M] += sum over events e in [first, last) of value[e] rows[index[e]]; no values means ones."""
    e = first
    if value.size:
        while e < last:
            a, p = rows[index[e]], value[e]
            for m in range(total.size):
                total[m] += p * a[m]
            e += 1
    while e + 4 <= last:  # four rows for one load and store of the total
        a, b, c, d = rows[index[e]], rows[index[e + 1]], rows[index[e + 2]], rows[index[e + 3]]
        for m in range(total.size):
            total[m] += (a[m] + b[m]) + (c[m] + d[m])
        e += 4
    if e + 2 <= last:
        a, b = rows[index[e]], rows[index[e + 1]]
        for m in range(total.size):
            total[m] += a[m] + b[m]
        e += 2
    if e < last:
        a = rows[index[e]]
        for m in range(total.size):
            total[m] += a[m]


@_jit
def gather(indptr, index, value, rows, out, low, high):  # type: ignore[no-untyped-def]
    """out[r] += sum of the rows that the events of r name, for r in [low, high)."""
    for r in range(low, high):
        add_rows(out[r], rows, index, value, indptr[r], indptr[r + 1])


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


@_jit
def unpack_row(words, index, place):  # type: ignore[no-untyped-def]
    """Write the positions of set bits from index[place] on; returns the place behind them."""
    for block in range(words.size):
        word = words[block]
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
        unpack_row(words[r], index, indptr[r])


@_jit
def pack_row(x, words):  # type: ignore[no-untyped-def]
    """One bit for each x > 0."""
    for block in range(words.size):
        word = np.uint64(0)
        first = block * WORD
        for m in range(min(WORD, x.size - first)):
            word |= np.uint64(x[first + m] > 0) << np.uint64(m)
        words[block] = word


@_jit
def next_potential(u, s, drive, threshold, decay, base, reset, x):  # type: ignore[no-untyped-def]
    """u, x and s of one row after one step; `threshold` is the one in force, `base` the one subtracted."""
    if reset == SUBTRACT:
        for m in range(u.size):
            u[m] = (decay[m] * u[m] + drive[m]) - base[m] * s[m]
    elif reset == SUBTRACT_DECAYED:
        for m in range(u.size):
            u[m] = decay[m] * (u[m] - base[m] * s[m]) + drive[m]
    elif reset == ZERO:
        one = u.dtype.type(1)  # a plain 1 would turn float32 into float64
        for m in range(u.size):
            u[m] = decay[m] * ((one - s[m]) * u[m]) + drive[m]
    else:
        for m in range(u.size):
            u[m] = decay[m] * u[m] + drive[m]
    for m in range(u.size):
        x[m] = u[m] - threshold[m]


@_jit
def advance(  # type: ignore[no-untyped-def]
    current, u, w, s, coefficients, reset, second, fires, wiring, wires, x, seconds, nows, spikes, words, low, high
):
    """Steps of samples [low, high): states u, w, s [B, M] move; x [n, B, M] and what has a size is written.

    `wires` is V transposed [M, M], or V [1, M] of one-to-one connections.
    """
    decay, base, gain, coupling, second_decay, second_potential, second_input, second_spike, slope = coefficients
    neurons = u.shape[1]
    driven = np.empty(neurons, u.dtype)
    drive = np.empty(neurons, u.dtype)
    threshold = base.copy()
    fired = np.empty((neurons + WORD - 1) // WORD, np.uint64)
    names = np.empty(neurons, np.int32)
    no_value = np.empty(0, u.dtype)
    for b in range(low, high):
        ub, wb, sb = u[b], w[b], s[b]
        count = 0
        if wiring == ALL_TO_ALL:
            pack_row(sb, fired)
            count = unpack_row(fired, names, 0)
        for t in range(current.shape[0]):
            now = current[t, b]
            if wiring == ALL_TO_ALL:
                driven[:] = now
                add_rows(driven, wires, names, no_value, 0, count)
                now = driven
            elif wiring == ONE_TO_ONE:
                row = wires[0]
                for m in range(neurons):
                    driven[m] = now[m] + sb[m] * row[m]
                now = driven
            if nows.size:
                nows[t, b] = now
            if second:
                for m in range(neurons):
                    wb[m] = (
                        (second_decay[m] * wb[m] + second_potential[m] * ub[m]) + second_input[m] * now[m]
                    ) + second_spike[m] * sb[m]
                    drive[m] = gain[m] * now[m] + coupling[m] * wb[m]
                    threshold[m] = base[m] + slope[m] * wb[m]
                now = drive
                if seconds.size:
                    seconds[t, b] = wb
            xt = x[t, b]
            next_potential(ub, sb, now, threshold, decay, base, reset, xt)
            if fires:
                for m in range(neurons):
                    sb[m] = xt[m] > 0
                if spikes.size:
                    spikes[t, b] = sb
                if words.size:
                    pack_row(xt, words[t, b])
                if wiring == ALL_TO_ALL:
                    pack_row(xt, fired)
                    count = unpack_row(fired, names, 0)


@_jit_reordered
def slope_row(x, shape, steepness, height, out):  # type: ignore[no-untyped-def]
    """The surrogate derivative of a row, for the shapes that have a number here."""
    one = x.dtype.type(1)
    if shape == ATAN:
        for m in range(x.size):
            z = steepness * x[m]
            out[m] = height / (one + z * z)
    elif shape == FAST_SIGMOID:
        for m in range(x.size):
            z = one + abs(steepness * x[m])
            out[m] = height / (z * z)
    else:
        for m in range(x.size):
            out[m] = height * max(one - abs(steepness * x[m]), one - one)


@_jit_reordered
def adjoint(  # type: ignore[no-untyped-def]
    gs, gx, gu, gw, psi, x, seconds, lu, lw, dnow, coefficients, reset, attached, second, fires, wiring, wires,
    shape, steepness, height, dcurrent, kept_u, kept_w, kept_x, kept_s, low, high,
):  # fmt: skip
    """Adjoints of samples [low, high), from the chunk's last step to its first.

    lu, lw and dnow [B, M] hold the adjoints of u, w and the current of the step after the chunk, and then those
    of its first step. Arrays without a size are not there. What is `kept` is for gradients of coefficients.
    """
    decay, base, gain, coupling, second_decay, second_potential, second_input, second_spike, slope = coefficients
    neurons = lu.shape[1]
    total = np.empty(neurons, lu.dtype)
    p = np.empty(neurons, lu.dtype)
    into_x = np.empty(neurons, lu.dtype)
    zero = lu.dtype.type(0)
    plain = fires and gs.size and not (
        second or wiring or attached or reset == ZERO or gx.size or gu.size or gw.size or kept_u.size or kept_s.size
    )
    for b in range(low, high):
        lub, lwb, dn = lu[b], lw[b], dnow[b]
        for t in range(dcurrent.shape[0] - 1, -1, -1):
            out = dcurrent[t, b]
            if plain:
                xt, gst = x[t, b], gs[t, b]
                if shape:
                    slope_row(xt, shape, steepness, height, p)
                else:
                    p[:] = psi[t, b]
                for m in range(neurons):
                    lub[m] = p[m] * gst[m] + decay[m] * lub[m]
                    out[m] = lub[m]
                continue
            if fires:
                xt = x[t, b]
                if shape:
                    slope_row(xt, shape, steepness, height, p)
                else:
                    p[:] = psi[t, b]
                if gs.size:
                    total[:] = gs[t, b]
                else:
                    total[:] = 0
                if wiring == ONE_TO_ONE:
                    row = wires[0]  # of one-to-one connections; the product with a matrix is made outside
                    for m in range(neurons):
                        total[m] += row[m] * dn[m]
                if second:
                    for m in range(neurons):
                        total[m] += second_spike[m] * lwb[m]
                if attached and reset == SUBTRACT:
                    for m in range(neurons):
                        total[m] -= base[m] * lub[m]
                elif attached and reset == SUBTRACT_DECAYED:
                    for m in range(neurons):
                        total[m] -= decay[m] * base[m] * lub[m]
                elif attached and reset == ZERO:
                    for m in range(neurons):
                        total[m] -= decay[m] * (xt[m] + base[m]) * lub[m]
                    if second:
                        wt = seconds[t, b]
                        for m in range(neurons):
                            total[m] -= decay[m] * slope[m] * wt[m] * lub[m]
                for m in range(neurons):
                    into_x[m] = p[m] * total[m]
                if reset == ZERO:
                    for m in range(neurons):
                        lub[m] = zero if xt[m] > 0 else lub[m]
            else:
                into_x[:] = 0
            if gx.size:
                gxt = gx[t, b]
                for m in range(neurons):
                    into_x[m] += gxt[m]
            final = t == dcurrent.shape[0] - 1
            for m in range(neurons):
                lub[m] = into_x[m] + decay[m] * lub[m]
            if second:
                for m in range(neurons):
                    lub[m] += second_potential[m] * lwb[m]
            if final and gu.size:
                lub += gu[b]
            if second:
                for m in range(neurons):
                    lwb[m] = second_decay[m] * lwb[m] + coupling[m] * lub[m] - slope[m] * into_x[m]
                if final and gw.size:
                    lwb += gw[b]
                for m in range(neurons):
                    out[m] = gain[m] * lub[m] + second_input[m] * lwb[m]
            else:
                out[:] = lub
            if wiring == ONE_TO_ONE:
                dn[:] = out
            if kept_u.size:
                kept_u[t, b] = lub
                kept_x[t, b] = into_x
                if second:
                    kept_w[t, b] = lwb
            if kept_s.size:
                kept_s[t, b] = total
