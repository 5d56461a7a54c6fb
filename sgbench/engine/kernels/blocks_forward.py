"""One layer over all steps for a block of samples, forward.

A block is so small that its states stay in the cache nearest to the core, and the spikes that it sends to the next
layer in the one behind that. The sums are those of `forward.advance`, in the same order.
"""

from __future__ import annotations

import numpy as np

from sgbench.engine.kernels.bits import write_bits
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
from sgbench.engine.kernels.events import add_rows, sum_rows, unpack_row
from sgbench.engine.kernels.prefetch import ask_row_to_write
from sgbench.engine.kernels.readout import read_out
from sgbench.engine.kernels.vectors import (
    NARROW,
    WIDE,
    bits_above,
    load,
    load_line,
    narrow,
    spread,
    store,
    store_part,
    where_above,
    wide,
)


@loop
def add_sum(out, o, rows, index, value, first, last):
    """Compute what `events.add_rows` does, as a call that is not inlined."""
    add_rows(out, o, rows, index, value, first, last)


@row
def advance_lanes(
    kind, m, b, columns, source, factor, first, last, wires, fired, back, begin, u, decay, theta, fires
):  # fmt: skip
    """Make a step of sample b's neurons from m on; return how far they are above threshold, and who fires, as bits.

    Events [first, last) of `source` and the names [0, back) of neurons that fired a step ago make the current.
    """
    now = sum_rows(load_line(kind, begin, m), columns, m, source, factor, first, last)
    now = sum_rows(now, wires, m, fired, factor[:0], 0, back)
    before = load(kind, u, b, m)
    after = spread(kind, decay) * before + now
    above, bits = after, np.uint64(0)
    if fires:
        limit = spread(kind, theta)
        after = after - where_above(before, limit, limit, kind)
        above = after - limit
        bits = bits_above(above)
    store(u, b, m, after)
    return above, bits


@row
def ones_above(vector):
    """Return 1 where a vector is above 0, else 0."""
    zero, one = spread(vector, 0.0), spread(vector, 1.0)
    return where_above(vector, zero, one, zero)


@loop
def forward_leaky(
    indptr, index, value, arriving, columns, begin, u, decay, theta, fires, wiring, wires, x, spikes, words,
    readout, names, fired, batch, low, high,
):  # fmt: skip
    """Compute what `forward_block` does, where neurons share one decay and one positive threshold to subtract.

    The last spikes are then those of u > theta and need no room; without spikes theta is not looked at. `names` and
    `fired` are room for positions.
    """
    size, seen = u.shape[1], x.shape[1]
    inside = arriving.size > 0
    source, factor = (names, begin[:0]) if inside else (index, value)
    reads = readout[-1].size > 0
    arrived = sent = 0
    for begin_of_step in range(0, x.shape[0], batch):
        for b in range(low, high):
            r = begin_of_step + b
            ask_row_to_write(x, r, low, high, b, batch)
            first, last, back = 0, 0, 0
            if inside:
                last = unpack_row(arriving, r, names, 0)
                arrived += last
            else:
                first, last = indptr[r], indptr[r + 1]
            if wiring == ALL_TO_ALL and begin_of_step:
                back = unpack_row(words, r - batch, fired, 0)
            m = 0
            while m + WIDE <= seen:
                above, bits = advance_lanes(
                    wide(u), m, b, columns, source, factor, first, last, wires, fired, back, begin, u, decay, theta,
                    fires,
                )  # fmt: skip
                store(x, r, m, above)
                if spikes.size:
                    store(spikes, r, m, ones_above(above))
                if words.size:
                    words[r, m // WORD] = bits
                m += WIDE
            word, first_of_word = np.uint64(0), m
            while m < size:
                rest, bits = advance_lanes(
                    narrow(u), m, b, columns, source, factor, first, last, wires, fired, back, begin, u, decay,
                    theta, fires,
                )  # fmt: skip
                store_part(x, r, m, seen - m, rest)
                if spikes.size:
                    store_part(spikes, r, m, seen - m, ones_above(rest))
                word |= bits << np.uint64(m % WORD)
                m += NARROW
            if words.size and m > first_of_word:
                words[r, first_of_word // WORD] = word
            if reads:
                sent += read_out(words, r, names, readout, b)
    return arrived, sent


@loop
def move_row(u, s, b, drive, d, threshold, decay, base, reset, fires, shown, v):
    """Advance u[b] by one step and set shown[v] = u - threshold and the spikes s[b]; resets subtract the base."""
    size = u.shape[1]
    one = u.dtype.type(1)  # a plain 1 would turn float32 into float64
    zero = one - one
    if reset == SUBTRACT:
        for m in range(size):
            after = (decay[m] * u[b, m] + drive[d, m]) - base[m] * s[b, m]
            above = after - threshold[0, m]
            u[b, m] = after
            shown[v, m] = above
            s[b, m] = one if above > 0 else zero
        return
    if reset == SUBTRACT_DECAYED:
        for m in range(size):
            u[b, m] = decay[m] * (u[b, m] - base[m] * s[b, m]) + drive[d, m]
    elif reset == ZERO:
        for m in range(size):
            u[b, m] = decay[m] * ((one - s[b, m]) * u[b, m]) + drive[d, m]
    else:
        for m in range(size):
            u[b, m] = decay[m] * u[b, m] + drive[d, m]
    for m in range(size):
        shown[v, m] = u[b, m] - threshold[0, m]
    if fires:
        for m in range(size):
            s[b, m] = one if shown[v, m] > 0 else zero


@loop
def forward_any(
    indptr, index, value, arriving, columns, begin, u, w, s, coefficients, reset, second, gained, fires, wiring,
    wires, x, seconds, spikes, words, readout, names, scratch, shown, threshold, batch, low, high,
):  # fmt: skip
    """Compute what `forward_block` does, for every neuron; `scratch` is room for the current and what drives u.

    `threshold` is the base of all neurons at first, `shown` room for a row.
    """
    decay, base, gain, coupling, second_decay, second_potential, second_input, second_spike, slope = (
        coefficients
    )
    size, seen = u.shape[1], x.shape[1]
    no_value = begin[:0]
    reads = readout[-1].size > 0
    arrived = sent = 0
    for begin_of_step in range(0, x.shape[0], batch):
        for b in range(low, high):
            r = begin_of_step + b
            ask_row_to_write(x, r, low, high, b, batch)
            # 1. The current: summed over events or packed spikes, and what the last spikes send back.
            for m in range(size):
                scratch[0, m] = begin[m]
            if arriving.size:
                here = unpack_row(arriving, r, names, 0)
                arrived += here
                add_sum(scratch, 0, columns, names, no_value, 0, here)
            else:
                add_sum(scratch, 0, columns, index, value, indptr[r], indptr[r + 1])
            d = 0
            if wiring == ALL_TO_ALL:
                if begin_of_step:
                    add_sum(scratch, 0, wires, names, no_value, 0, unpack_row(words, r - batch, names, 0))
            elif wiring == ONE_TO_ONE:
                for m in range(size):
                    scratch[0, m] += s[b, m] * wires[0, m]
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
                    for m in range(seen):
                        seconds[r, m] = w[b, m]
            elif gained:
                for m in range(size):
                    scratch[0, m] = gain[m] * scratch[0, m]
            # 3. The potential, and the spikes.
            if seen < size:
                move_row(u, s, b, scratch, d, threshold, decay, base, reset, fires, shown, 0)
                for m in range(seen):
                    x[r, m] = shown[0, m]
            else:
                move_row(u, s, b, scratch, d, threshold, decay, base, reset, fires, x, r)
            if fires:
                if spikes.size:
                    for m in range(seen):
                        spikes[r, m] = s[b, m]
                if words.size:
                    write_bits(x, r, words, r)
                if reads:
                    sent += read_out(words, r, names, readout, b)
    return arrived, sent


@entry
def forward_block(
    indptr, index, value, arriving, columns, begin, u, w, s, coefficients, uniform, reset, second, gained, fires,
    wiring, wires, x, seconds, spikes, words, readout, batch, low, high,
):  # fmt: skip
    """Make the steps of samples [low, high): states u, w, s [B, M] move; x and what has a size is written.

    The current is `begin` plus the sum of those rows of `columns` that the packed spikes `arriving` name, or where
    there are none the events. Rows of what lies over time are t * batch + b. Where x has fewer neurons than the
    state, the rest of the state only fills vectors. `wires` is V transposed [M, M], or V [1, M] of one-to-one
    connections. `readout` is the layer behind where it goes along in this loop: its columns, bias, state, decay and
    output, without a size where it does not. Returns how many packed spikes arrived, and how many the readout got.
    """
    decay, base = coefficients[0], coefficients[1]
    size = u.shape[1]
    names = np.empty(max(size, columns.shape[0]), np.int32)
    fired = np.empty(size, np.int32)
    quick = uniform and not (second or gained or wiring == ONE_TO_ONE)
    if quick and (not fires or (reset == SUBTRACT and base[0] > 0)):
        counts = forward_leaky(
            indptr, index, value, arriving, columns, begin, u, decay[0], base[0], fires, wiring, wires, x, spikes,
            words, readout, names, fired, batch, low, high,
        )  # fmt: skip
        if fires:
            s[low:high] = u[low:high] > base[0]
        return counts
    scratch = np.empty((4, size), u.dtype)
    scratch[3] = base
    return forward_any(
        indptr, index, value, arriving, columns, begin, u, w, s, coefficients, reset, second, gained, fires, wiring,
        wires, x, seconds, spikes, words, readout, names, scratch[:2], scratch[2:3], scratch[3:], batch, low, high,
    )  # fmt: skip
