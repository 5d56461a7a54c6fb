"""One layer over all steps for a block of samples, backward; gradients of weights are added up on the way.

The adjoint of a current is handed to the layer before in rows of the block alone, and goes into the gradients of
weights row by row, while it is in the nearest cache: no event is sorted, and no adjoint of all steps is kept. The
kernel of the commonest neurons has all in one function; elsewhere functions are called, as copies take long to
compile.
"""

from __future__ import annotations

import numpy as np

from sgbench.engine.kernels.backward import slope_row
from sgbench.engine.kernels.codes import (
    ALL_TO_ALL,
    ATAN,
    FAST_SIGMOID,
    ONE_TO_ONE,
    SUBTRACT,
    SUBTRACT_DECAYED,
    ZERO,
    entry_backward,
    loop_backward,
    row_backward,
)
from sgbench.engine.kernels.events import unpack_row
from sgbench.engine.kernels.prefetch import ask_row_to_read
from sgbench.engine.kernels.readout import call_renew, move_readout, renew_drive
from sgbench.engine.kernels.sums import (
    TOGETHER,
    add_product,
    add_products,
    add_to_rows,
    call_products,
    call_scatter,
    scatter,
)
from sgbench.engine.kernels.vectors import (
    NARROW,
    WIDE,
    load,
    load_line,
    load_part,
    narrow,
    spread,
    store,
    store_line,
    where_above,
    wide,
)


@row_backward
def slope_lanes(x, shape, steepness, height):
    """Return the surrogate derivative of a known shape at the distances x from threshold."""
    one = spread(x, 1.0)
    zero = one - one
    z = spread(x, steepness) * x
    if shape == ATAN:
        slope = spread(x, height) / (one + z * z)
    elif shape == FAST_SIGMOID:
        z = one + where_above(z, zero, z, zero - z)
        slope = spread(x, height) / (z * z)
    else:
        z = one - where_above(z, zero, z, zero - z)
        slope = spread(x, height) * where_above(zero, z, zero, z)
    return slope


@row_backward
def move_lanes(slope, m, o, total, g, alone, trace, drive, decay_of_readout, decay, lu, d_bias):
    """Move the adjoint lu[o] of neurons from m on a step back through decay and slope, add to d_bias and return it.

    What reaches the spikes is total[g], and the trace of a readout where `trace` has a size; that one `alone` where
    nothing else can.
    """
    reach = slope
    if not alone:
        reach = load(slope, total, g, m)
    if trace.size:
        remembered = spread(slope, decay_of_readout) * load(slope, trace, o, m) + load(slope, drive, o, m)
        store(trace, o, m, remembered)
        reach = remembered if alone else reach + remembered
    q = slope * reach + spread(slope, decay) * load(slope, lu, o, m)
    store(lu, o, m, q)
    store_line(d_bias, m, load_line(slope, d_bias, m) + q)
    return q


@loop_backward
def add_reset(total, g, x, r, seconds, lu, o, coefficients, reset, second):
    """Add to ds what the reset of the next step sends back where its gradient is attached."""
    decay, base, _, _, _, _, _, _, slope = coefficients
    size = x.shape[1]
    if reset == SUBTRACT:
        for m in range(size):
            total[g, m] -= base[m] * lu[o, m]
    elif reset == SUBTRACT_DECAYED:
        for m in range(size):
            total[g, m] -= decay[m] * base[m] * lu[o, m]
    elif reset == ZERO:
        for m in range(size):
            total[g, m] -= decay[m] * (x[r, m] + base[m]) * lu[o, m]
        if second:
            for m in range(size):
                total[g, m] -= decay[m] * slope[m] * seconds[r, m] * lu[o, m]


@loop_backward
def move_states(total, g, p, x, r, lu, lw, now, o, coefficients, reset, second, gained, fires, d_bias):
    """Move the adjoints lu[o], lw[o] and now[o], that of the current, a step back, with their part of d_bias."""
    decay, _, gain, coupling, second_decay, second_potential, second_input, _, slope = coefficients
    size = lu.shape[1]
    one = lu.dtype.type(1)
    zero = one - one
    if fires:
        for m in range(size):
            total[g, m] *= p[m]
        if reset == ZERO:
            for m in range(x.shape[1]):  # a product, for what is undefined has to stay so
                lu[o, m] *= zero if x[r, m] > 0 else one
    for m in range(size):
        lu[o, m] = total[g, m] + decay[m] * lu[o, m]
    if second:
        for m in range(size):
            lu[o, m] += second_potential[m] * lw[o, m]
        for m in range(size):
            lw[o, m] = second_decay[m] * lw[o, m] + coupling[m] * lu[o, m] - slope[m] * total[g, m]
        for m in range(size):
            now[o, m] = gain[m] * lu[o, m] + second_input[m] * lw[o, m]
    elif gained:
        for m in range(size):
            now[o, m] = gain[m] * lu[o, m]
    else:
        for m in range(size):
            now[o, m] = lu[o, m]
    for m in range(size):
        d_bias[m] += now[o, m]


@row_backward
def gather_adjoints(total, group, grad_output, first_output, next_adjoint, next_first, next_weights):
    """Set total[g] to what reaches the outputs of `group` samples from outside and from the next layer."""
    total[:] = total.dtype.type(0)
    if grad_output.size:
        for g in range(group):
            for m in range(grad_output.shape[1]):
                total[g, m] = grad_output[first_output + g, m]
    if next_adjoint.size:
        if not next_weights.size:
            for g in range(group):
                for m in range(total.shape[1]):
                    total[g, m] += next_adjoint[next_first + g, m]
        elif group == TOGETHER:
            add_products(total, next_adjoint, next_first, next_weights)
        else:
            for g in range(group):
                add_product(total, g, next_adjoint, next_first + g, next_weights)


@loop_backward
def call_gather(total, group, grad_output, first_output, next_adjoint, next_first, next_weights):
    """Compute what `gather_adjoints` does, as a call that is not inlined."""
    gather_adjoints(total, group, grad_output, first_output, next_adjoint, next_first, next_weights)


@loop_backward
def backward_leaky(
    grad_output, per_step, next_adjoint, next_weights, readout, psi, x, decay, fires, wiring, wires, shape,
    steepness, height, out, indptr, index, value, arriving, words, d_columns, d_bias, d_wires, lu, total, names,
    fired, readout_rows, window, batch, low, high,
):  # fmt: skip
    """Compute what `backward_block` does, for one state variable, one decay and a detached reset.

    A function of its own, for the numbers of a short loop stay in registers. `lu` is 0 and `readout_rows` what a
    readout needs of the block; `total`, `names` and `fired` are room for rows and positions.
    """
    size, seen, count, steps = d_bias.shape[0], x.shape[1], high - low, x.shape[0] // batch
    inside = arriving.size > 0
    source, factor = (names, d_bias[:0]) if inside else (index, value)
    of_readout, per_step_of_readout, readout_weights, decay_of_readout, d_readout, d_begin = readout
    drive, trace, readout_adjoint = readout_rows
    reads = of_readout.size > 0
    back_through_wires = wiring == ALL_TO_ALL and wires.size > 0
    alone = reads and not (grad_output.size or next_adjoint.size or back_through_wires)
    for t in range(steps - 1, -1, -1):
        linked = t + 1 < steps and (t + 1) % window > 0
        if not linked:
            lu[:] = lu.dtype.type(0)
        for start in range(0, count, TOGETHER):
            group = min(TOGETHER, count - start)
            place = t * count + start
            # 1. What reaches the outputs of these samples: from outside, from the layer behind, through V.
            if not alone:
                gather_adjoints(
                    total, group, grad_output, t * per_step + low + start, next_adjoint, place, next_weights
                )
                if back_through_wires and linked:
                    call_products(total, lu, start, wires)
            for g in range(group):
                o = start + g
                r = t * batch + low + o
                ask_row_to_read(x, r, low, high, low + o, -batch)
                if reads:
                    q = t * per_step_of_readout + low + o
                    later = q if t + 1 == steps else q + per_step_of_readout
                    renew_drive(of_readout, q, later, t + 1 == steps, readout_weights, drive, o)
                    move_readout(of_readout, q, decay_of_readout, readout_adjoint, o, d_begin)
                    scatter(
                        readout_adjoint, o, fired, d_bias[:0], 0, unpack_row(words, r, fired, 0), d_readout
                    )
                # 2. The events that the adjoint of the current is added to the weights of.
                first, last, back = 0, 0, 0
                if inside:
                    last = unpack_row(arriving, r, names, 0)
                else:
                    first, last = indptr[r], indptr[r + 1]
                if t > 0 and wiring == ALL_TO_ALL:
                    back = unpack_row(words, r - batch, fired, 0)
                # 3. The adjoint, vector by vector;
                m = 0
                while m + WIDE <= seen:
                    slope = spread(wide(lu), 1.0)
                    if psi.size:
                        slope = load(slope, psi, place + g, m)
                    elif fires:
                        slope = slope_lanes(load(slope, x, r, m), shape, steepness, height)
                    moved = move_lanes(
                        slope, m, o, total, g, alone, trace, drive, decay_of_readout, decay, lu, d_bias
                    )
                    if out.size:
                        store(out, place + g, m, moved)
                    add_to_rows(moved, d_columns, m, source, factor, first, last)
                    add_to_rows(moved, d_wires, m, fired, d_bias[:0], 0, back)
                    m += WIDE
                while m < size:
                    last_slope = spread(narrow(lu), 1.0)
                    if psi.size:
                        last_slope = load_part(last_slope, psi, place + g, m, seen - m)
                    elif fires:
                        last_slope = load_part(last_slope, x, r, m, seen - m)
                        last_slope = slope_lanes(last_slope, shape, steepness, height)
                    rest = move_lanes(
                        last_slope, m, o, total, g, alone, trace, drive, decay_of_readout, decay, lu, d_bias
                    )
                    if out.size:
                        store(out, place + g, m, rest)
                    add_to_rows(rest, d_columns, m, source, factor, first, last)
                    add_to_rows(rest, d_wires, m, fired, d_bias[:0], 0, back)
                    m += NARROW


@loop_backward
def backward_any(
    grad_output, per_step, next_adjoint, next_weights, readout, psi, x, seconds, coefficients, reset, attached,
    second, gained, fires, wiring, wires, shape, steepness, height, out, indptr, index, value, arriving, words,
    d_columns, d_bias, d_wires, lu, lw, now, total, p, names, readout_rows, window, batch, low, high,
):  # fmt: skip
    """Compute what `backward_block` does, for every neuron.

    The adjoints `lu`, `lw` and `now`, that of the current, are 0, as is `p`; `total` and `names` are room.
    """
    second_spike = coefficients[7]
    size, seen, count, steps = d_bias.shape[0], x.shape[1], high - low, x.shape[0] // batch
    zero = d_bias.dtype.type(0)
    no_value = d_bias[:0]
    of_readout, per_step_of_readout, readout_weights, decay_of_readout, d_readout, d_begin = readout
    drive, trace, readout_adjoint = readout_rows
    reads = of_readout.size > 0
    for t in range(steps - 1, -1, -1):
        linked = t + 1 < steps and (t + 1) % window > 0
        if not linked:
            lu[:] = zero
            lw[:] = zero
            now[:] = zero
        for start in range(0, count, TOGETHER):
            group = min(TOGETHER, count - start)
            place = t * count + start
            # 1. What reaches the outputs of these samples: from outside, from the layer behind, through V.
            call_gather(
                total, group, grad_output, t * per_step + low + start, next_adjoint, place, next_weights
            )
            if wiring == ALL_TO_ALL and wires.size and linked:
                call_products(total, now, start, wires)
            for g in range(group):
                o = start + g
                r = t * batch + low + o
                ask_row_to_read(x, r, low, high, low + o, -batch)
                if reads:
                    q = t * per_step_of_readout + low + o
                    later = q if t + 1 == steps else q + per_step_of_readout
                    call_renew(
                        of_readout, q, later, t + 1 == steps, readout_weights, drive, o, decay_of_readout,
                        readout_adjoint, d_begin,
                    )  # fmt: skip
                    call_scatter(
                        readout_adjoint, o, names, no_value, 0, unpack_row(words, r, names, 0), d_readout
                    )
                    for m in range(size):
                        trace[o, m] = decay_of_readout * trace[o, m] + drive[o, m]
                        total[g, m] += trace[o, m]
                # 2. The slope, and what the next step of the neuron itself sends back to its spikes.
                if fires:
                    if shape:
                        slope_row(x, r, shape, steepness, height, p)
                    else:
                        for m in range(seen):
                            p[m] = psi[place + g, m]
                    if wiring == ONE_TO_ONE and wires.size and linked:
                        for m in range(size):
                            total[g, m] += wires[0, m] * now[o, m]
                    if second:
                        for m in range(size):
                            total[g, m] += second_spike[m] * lw[o, m]
                    if attached:
                        add_reset(total, g, x, r, seconds, lu, o, coefficients, reset, second)
                move_states(
                    total, g, p, x, r, lu, lw, now, o, coefficients, reset, second, gained, fires, d_bias
                )
                # 3. The adjoint of the current: to the layer before, and into the gradients of weights.
                if out.size:
                    for m in range(size):
                        out[place + g, m] = now[o, m]
                if arriving.size:
                    call_scatter(now, o, names, no_value, 0, unpack_row(arriving, r, names, 0), d_columns)
                else:
                    call_scatter(now, o, index, value, indptr[r], indptr[r + 1], d_columns)
                if t > 0 and wiring == ALL_TO_ALL:
                    call_scatter(now, o, names, no_value, 0, unpack_row(words, r - batch, names, 0), d_wires)
                elif t > 0 and wiring == ONE_TO_ONE:
                    for m in range(seen):
                        d_wires[0, m] += now[o, m] if x[r - batch, m] > 0 else zero


@entry_backward
def backward_block(
    grad_output, per_step, next_adjoint, next_weights, readout, psi, x, seconds, coefficients, uniform, reset,
    attached, second, gained, fires, wiring, wires, shape, steepness, height, out, indptr, index, value,
    arriving, words, d_columns, d_bias, d_wires, window, batch, low, high,
):  # fmt: skip
    """Compute the adjoints of samples [low, high) from the last step to the first, and their part of all gradients.

    What reaches the output from outside is grad_output[t * per_step + b]; where the layer sends spikes to another,
    the adjoint of that one's current is next_adjoint[t * n + o] for its weights `next_weights` [its neurons, M],
    with o the place in the block of n samples; without `next_weights` it is multiplied already. A readout that
    went along in the loop forward does so here: `readout` holds the gradient of its output and that one's rows a
    step, its weights and its decay, and the gradients of its columns and bias. The adjoint of the layer's own
    current goes into `out` [T n, M] if that has a size. `psi` is the surrogate derivative of the block where no
    shape is known. `wires` is V [M, M], or [1, M]; empty where no gradient goes through it. No adjoint goes from
    one `window` of steps to that before. What has no size is not there.
    """
    size, count, number = d_bias.shape[0], high - low, d_bias.dtype
    read = count if readout[0].size else 0
    readout_rows = (
        np.zeros((read, size), number), np.zeros((read, size), number), np.zeros((read, readout[-1].size),
        number),
    )  # fmt: skip
    lu = np.zeros((count + TOGETHER, size), number)
    total = np.empty((TOGETHER, size), number)
    names = np.empty(max(size, d_columns.shape[0]), np.int32)
    quiet = not (second or gained) and not (attached or reset == ZERO or wiring == ONE_TO_ONE)
    if uniform and quiet:
        backward_leaky(
            grad_output, per_step, next_adjoint, next_weights, readout, psi, x, coefficients[0][0], fires,
            wiring, wires, shape, steepness, height, out, indptr, index, value, arriving, words, d_columns,
            d_bias, d_wires, lu, total, names, np.empty(size, np.int32), readout_rows, window, batch, low, high,
        )  # fmt: skip
        return
    backward_any(
        grad_output, per_step, next_adjoint, next_weights, readout, psi, x, seconds, coefficients, reset,
        attached, second, gained, fires, wiring, wires, shape, steepness, height, out, indptr, index, value,
        arriving, words, d_columns, d_bias, d_wires, lu, np.zeros_like(lu), np.zeros_like(lu), total,
        np.zeros(size, number), names, readout_rows, window, batch, low, high,
    )  # fmt: skip
