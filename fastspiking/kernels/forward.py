"""The forward pass of one layer over all steps, for a block of samples or for all of them.

A block is so small that its states stay in the core's nearest cache, and the spikes that it sends to the next layer
in the second. Arrays are described in `arguments`; row r = t B + b of an array over time is step t of sample b.
"""

import numpy as np

from fastspiking.kernels.arguments import CurrentTerms
from fastspiking.kernels.codes import ALL_TO_ALL, ONE_TO_ONE, SUBTRACT, SUBTRACT_DECAYED, WORD, ZERO, inner, loop, row
from fastspiking.kernels.events import active_inputs, add_rows, sum_rows, unpack_row, write_bits
from fastspiking.kernels.readout import read_out
from fastspiking.kernels.vectors import (
    NARROW,
    WIDE,
    ask_row_to_write,
    bits_above,
    load,
    load_part,
    narrow,
    spread,
    store,
    store_part,
    where_above,
    wide,
)


@inner
def add_sum(out, o, rows, index, value, first, last):
    """Add value[e] * rows[index[e]] to out[o] for events e in [first, last): `events.add_rows`, not inlined."""
    add_rows(out, o, rows, index, value, first, last)


@row
def ones_above(vector):
    """Return a vector of 1 where the given one is above 0, else 0."""
    zero, one = spread(vector, 0.0), spread(vector, 1.0)
    return where_above(vector, zero, one, zero)


@row
def advance_lanes(kind, now, m, b, u, terms, first, last, fired_count, decay, theta, fires):
    """Advance one vector of sample b's leaky neurons, from m on, by a step; return u - theta, and spikes as bits.

    u = decay * u + current, less theta where the last u was above it. The current is the vector `now`, plus the
    weights of the events [first, last), plus the recurrent weights of the neurons terms.fired[:fired_count]. If the
    neurons do not fire, u and a word of no bits are returned. `kind` is a vector of the width to work with.
    """
    now = sum_rows(now, terms.columns, m, terms.index, terms.value, first, last)
    now = sum_rows(now, terms.wires, m, terms.fired, terms.value[:0], 0, fired_count)
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
def advance_row(u, b, saved, r, q, terms, *step_arguments):
    """Advance all leaky neurons of sample b by one step; write u - threshold, spikes and packed spikes to row r.

    The current begins with terms.begin[q], a row with or without padding. `step_arguments` are passed to
    `advance_lanes` behind `terms`. An array of `saved` of size 0 is not written.
    """
    size, neurons, m, begin_size = u.shape[1], saved.x.shape[1], 0, terms.begin.shape[1]  # with and without padding
    while m + WIDE <= neurons:  # 64 neurons give one word of packed spikes
        now = load(wide(u), terms.begin, q, m)
        above, bits = advance_lanes(wide(u), now, m, b, u, terms, *step_arguments)
        store(saved.x, r, m, above)
        if saved.spikes.size:
            store(saved.spikes, r, m, ones_above(above))
        if saved.words.size:
            saved.words[r, m // WORD] = bits
        m += WIDE
    word, first_of_word = np.uint64(0), m
    while m < size:  # the rest, by 16: its padding is 0, and is not written
        last_now = load_part(narrow(u), terms.begin, q, m, begin_size - m)
        last_above, bits = advance_lanes(narrow(u), last_now, m, b, u, terms, *step_arguments)
        store_part(saved.x, r, m, neurons - m, last_above)
        if saved.spikes.size:
            store_part(saved.spikes, r, m, neurons - m, ones_above(last_above))
        word |= bits << np.uint64(m % WORD)
        m += NARROW
    if saved.words.size and m > first_of_word:
        saved.words[r, first_of_word // WORD] = word


@loop
def advance_leaky(layer, arriving, states, saved, readout, names, fired, batch, low, high):
    """Run one layer through all steps; its neurons share one decay, and subtract one positive threshold to reset.

    Arguments and result are those of `advance_any`, except that `names` and `fired` are scratch memory for indices
    of inputs and of neurons. The spikes of a step follow from u > theta, so that only the last step's are stored in
    `states`. theta is not read for neurons that do not fire.
    """
    arrived = sent = 0
    u = states.u
    decay, theta = layer.coefficients.decay[0], layer.coefficients.threshold[0]
    packed = arriving.words.size > 0
    index, value = (names, arriving.begin[:0]) if packed else (arriving.index, arriving.value)
    terms = CurrentTerms(arriving.columns, arriving.current, index, value, layer.wires, fired)
    for begin_of_step in range(0, saved.x.shape[0], batch):
        for b in range(low, high):
            r = begin_of_step + b
            ask_row_to_write(saved.x, r, low, high, b, batch)
            first, last = active_inputs(arriving, r, names)
            arrived += last if packed else 0
            recurs = layer.wiring == ALL_TO_ALL and begin_of_step > 0
            fired_count = unpack_row(saved.words, r - batch, fired, 0) if recurs else 0
            q = r if arriving.current.shape[0] > 1 else 0  # one row: the bias, the same in all steps
            advance_row(u, b, saved, r, q, terms, first, last, fired_count, decay, theta, layer.fires)
            if readout.output.size:
                sent += read_out(saved.words, r, names, readout, b)
    if layer.fires:
        one = u.dtype.type(1)
        for b in range(low, high):
            for m in range(u.shape[1]):
                states.last[b, m] = one if u[b, m] > theta else one - one
    return arrived, sent


@inner
def move_row(u, s, b, drive, d, threshold, decay, base, reset, fires, shown, v):
    """Advance the potentials u[b] by one step driven by drive[d]; set shown[v] = u - threshold and the spikes s[b].

    `base` [M] is the constant threshold, which a reset subtracts; threshold [1, M] is the threshold of this step,
    which differs from `base` if it adapts. `reset` is one of `codes`.
    """
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


@row
def sum_current(layer, arriving, s, saved, r, b, before, scratch, names):
    """Write the current of row r, sample b, into scratch[0]; return how many packed spikes arrived.

    The current is given, or it is the bias plus the weights of the arriving events or spikes. The recurrent weights
    of the neurons that fired last are added. Those are packed in row `before` of `saved`; in the first step, where
    `before` is negative, they are the neurons with s[b] > 0. `names` is scratch memory for indices of inputs and
    neurons.
    """
    arrived, none = 0, layer.coefficients.decay[:0]
    if arriving.columns.size:
        for m in range(scratch.shape[1]):
            scratch[0, m] = arriving.begin[m]
        if arriving.words.size:
            arrived = unpack_row(arriving.words, r, names, 0)
            add_sum(scratch, 0, arriving.columns, names, none, 0, arrived)
        else:
            first, last = arriving.indptr[r], arriving.indptr[r + 1]
            add_sum(scratch, 0, arriving.columns, arriving.index, arriving.value, first, last)
    else:
        for m in range(arriving.current.shape[1]):
            scratch[0, m] = arriving.current[r, m]
    if layer.wiring == ALL_TO_ALL:
        if before >= 0:
            add_sum(scratch, 0, layer.wires, names, none, 0, unpack_row(saved.words, before, names, 0))
        else:
            count = 0
            for m in range(s.shape[1]):  # without a branch: a neuron that did not fire is overwritten by the next
                names[count] = m
                count += s[b, m] > 0
            add_sum(scratch, 0, layer.wires, names, none, 0, count)
    elif layer.wiring == ONE_TO_ONE:
        for m in range(scratch.shape[1]):
            scratch[0, m] += s[b, m] * layer.wires[0, m]
    if saved.now.size:
        for m in range(scratch.shape[1]):
            saved.now[r, m] = scratch[0, m]
    return arrived


@row
def move_second(layer, states, saved, r, b, scratch, threshold):
    """Advance the second variable w and the threshold of sample b; return the row of `scratch` that drives u.

    scratch[0] holds the current. The drive is gain * current + coupling * w, in scratch[1]; without a second
    variable it is the current times its gain, in scratch[0]. w goes to row r of `saved`, if kept.
    """
    _, base, gain, coupling, second_decay, second_potential, second_input, second_spike, slope = layer.coefficients
    u, w, s = states
    if layer.second:
        for m in range(u.shape[1]):
            w[b, m] = (
                (second_decay[m] * w[b, m] + second_potential[m] * u[b, m]) + second_input[m] * scratch[0, m]
            ) + second_spike[m] * s[b, m]
            scratch[1, m] = gain[m] * scratch[0, m] + coupling[m] * w[b, m]
            threshold[0, m] = base[m] + slope[m] * w[b, m]
        if saved.w.size:
            for m in range(saved.w.shape[1]):
                saved.w[r, m] = w[b, m]
        return 1
    if layer.gained:
        for m in range(u.shape[1]):
            scratch[0, m] = gain[m] * scratch[0, m]
    return 0


@loop
def advance_any(layer, arriving, states, saved, readout, names, scratch, batch, low, high):
    """Run one layer of neurons of any kind through all steps of samples [low, high).

    Arguments are those of `numba_steps.advance`.

    In a step, `sum_current` sums the input current, `move_second` updates the second variable and returns which row of
    `scratch` drives the potential u, and `move_row` updates u and the spikes. Rows of scratch [4, M] are the current,
    the drive with a second variable, u - threshold, and the threshold of each neuron. u - threshold is written there
    where the rows of saved.x are shorter, without padding, and then copied. `ask_row_to_write` prefetches the memory of
    a row. `names` is scratch memory for indices of inputs and neurons. Returns how many packed spikes reached the
    layer, and how many it sent to the readout.
    """
    arrived = sent = 0
    seen, shown, threshold = saved.x.shape[1], scratch[2:3], scratch[3:]
    decay, base, reset, fires = (layer.coefficients.decay, layer.coefficients.threshold, layer.reset, layer.fires)
    for begin_of_step in range(0, saved.x.shape[0], batch):
        for b in range(low, high):
            r = begin_of_step + b
            ask_row_to_write(saved.x, r, low, high, b, batch)
            before = r - batch if begin_of_step else -1
            arrived += sum_current(layer, arriving, states.last, saved, r, b, before, scratch, names)
            d = move_second(layer, states, saved, r, b, scratch, threshold)
            if seen < states.u.shape[1]:
                move_row(states.u, states.last, b, scratch, d, threshold, decay, base, reset, fires, shown, 0)
                for m in range(seen):
                    saved.x[r, m] = shown[0, m]
            else:
                move_row(states.u, states.last, b, scratch, d, threshold, decay, base, reset, fires, saved.x, r)
            if fires:
                if saved.spikes.size:
                    for m in range(seen):
                        saved.spikes[r, m] = states.last[b, m]
                if saved.words.size:
                    write_bits(saved.x, r, saved.words, r)
                if readout.output.size:
                    sent += read_out(saved.words, r, names, readout, b)
    return arrived, sent
