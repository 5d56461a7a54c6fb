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
    GIVEN,
    ONE_TO_ONE,
    SUBTRACT,
    SUBTRACT_DECAYED,
    ZERO,
    loop_backward,
    row_backward,
)
from sgbench.engine.kernels.events import unpack_row
from sgbench.engine.kernels.prefetch import ask_row_to_read
from sgbench.engine.kernels.readout import call_renew, move_readout, renew_drive

TOGETHER = 4  # samples whose products are made at a time, so that a row of weights is loaded once for all


@row_backward
def add_products(total, adjoints, first, weights):
    """Compute total[g] += adjoints[first + g] weights for four rows g; weights have a multiple of four rows."""
    for k in range(0, weights.shape[0], 4):
        a0, a1, a2, a3 = (
            adjoints[first, k],
            adjoints[first, k + 1],
            adjoints[first, k + 2],
            adjoints[first, k + 3],
        )
        b0, b1 = adjoints[first + 1, k], adjoints[first + 1, k + 1]
        b2, b3 = adjoints[first + 1, k + 2], adjoints[first + 1, k + 3]
        c0, c1 = adjoints[first + 2, k], adjoints[first + 2, k + 1]
        c2, c3 = adjoints[first + 2, k + 2], adjoints[first + 2, k + 3]
        d0, d1 = adjoints[first + 3, k], adjoints[first + 3, k + 1]
        d2, d3 = adjoints[first + 3, k + 2], adjoints[first + 3, k + 3]
        for m in range(total.shape[1]):
            w0, w1, w2, w3 = weights[k, m], weights[k + 1, m], weights[k + 2, m], weights[k + 3, m]
            total[0, m] += (a0 * w0 + a1 * w1) + (a2 * w2 + a3 * w3)
            total[1, m] += (b0 * w0 + b1 * w1) + (b2 * w2 + b3 * w3)
            total[2, m] += (c0 * w0 + c1 * w1) + (c2 * w2 + c3 * w3)
            total[3, m] += (d0 * w0 + d1 * w1) + (d2 * w2 + d3 * w3)


@loop_backward
def add_product(total, g, adjoints, first, weights):
    """Compute total[g] += adjoints[first] weights, for the samples that are left where fewer than four are."""
    for k in range(0, weights.shape[0], 4):
        a0, a1, a2, a3 = (
            adjoints[first, k],
            adjoints[first, k + 1],
            adjoints[first, k + 2],
            adjoints[first, k + 3],
        )
        for m in range(total.shape[1]):
            total[g, m] += (a0 * weights[k, m] + a1 * weights[k + 1, m]) + (
                a2 * weights[k + 2, m] + a3 * weights[k + 3, m]
            )


@row_backward
def scatter(out, o, index, value, first, last, total):
    """Add value[e] out[o] to total[index[e]] for events e in [first, last); no values means ones."""
    size = out.shape[1]
    e = first
    if value.size:
        while e < last:
            k, p = np.intp(index[e]), value[e]
            for m in range(size):
                total[k, m] += p * out[o, m]
            e += 1
    while e + 4 <= last:  # four rows for one load of the adjoint
        k, k1, k2, k3 = np.intp(index[e]), np.intp(index[e + 1]), np.intp(index[e + 2]), np.intp(index[e + 3])
        for m in range(size):
            q = out[o, m]
            total[k, m] += q
            total[k1, m] += q
            total[k2, m] += q
            total[k3, m] += q
        e += 4
    while e < last:
        k = np.intp(index[e])
        for m in range(size):
            total[k, m] += out[o, m]
        e += 1


@loop_backward
def call_products(total, adjoints, first, weights):
    """Compute what `add_products` does, as a call that is not inlined."""
    add_products(total, adjoints, first, weights)


@loop_backward
def call_scatter(out, o, index, value, first, last, total):
    """Compute what `scatter` does, as a call that is not inlined."""
    scatter(out, o, index, value, first, last, total)


@row_backward
def move_plain(total, g, x, r, shape, steepness, height, decay, lu, o, d_bias):
    """Move the adjoint lu[o] one step back through decay and surrogate slope alone; add to d_bias."""
    size = x.shape[1]
    one = lu.dtype.type(1)
    zero = one - one
    if shape == GIVEN:
        for m in range(d_bias.shape[0]):
            q = total[g, m] + decay * lu[o, m]
            lu[o, m] = q
            d_bias[m] += q
    elif shape == ATAN:
        for m in range(size):
            z = steepness * x[r, m]
            q = height / (one + z * z) * total[g, m] + decay * lu[o, m]
            lu[o, m] = q
            d_bias[m] += q
    elif shape == FAST_SIGMOID:
        for m in range(size):
            z = one + abs(steepness * x[r, m])
            q = height / (z * z) * total[g, m] + decay * lu[o, m]
            lu[o, m] = q
            d_bias[m] += q
    else:
        for m in range(size):
            q = height * max(one - abs(steepness * x[r, m]), zero) * total[g, m] + decay * lu[o, m]
            lu[o, m] = q
            d_bias[m] += q


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
def gather_adjoints(total, group, given, first_given, behind, first_behind, ahead):
    """Set total[g] to what reaches the outputs of `group` samples from outside and from the next layer."""
    total[:] = total.dtype.type(0)
    if given.size:
        for g in range(group):
            for m in range(given.shape[1]):
                total[g, m] = given[first_given + g, m]
    if behind.size:
        if not ahead.size:
            for g in range(group):
                for m in range(total.shape[1]):
                    total[g, m] += behind[first_behind + g, m]
        elif group == TOGETHER:
            add_products(total, behind, first_behind, ahead)
        else:
            for g in range(group):
                add_product(total, g, behind, first_behind + g, ahead)


@loop_backward
def call_gather(total, group, given, first_given, behind, first_behind, ahead):
    """Compute what `gather_adjoints` does, as a call that is not inlined."""
    gather_adjoints(total, group, given, first_given, behind, first_behind, ahead)


@loop_backward
def backward_leaky(
    given, per_step, behind, ahead, readout, x, decay, wiring, wires, shape, steepness, height, out, indptr, index,
    value, arriving, words, d_columns, d_bias, d_wires, window, batch, low, high,
):  # fmt: skip
    """Compute what `backward_block` does, for one state variable, one decay and a detached reset.

    A function of its own, for the numbers of a short loop stay in registers.
    """
    size, count, steps = d_bias.shape[0], high - low, x.shape[0] // batch
    lu = np.zeros((count + TOGETHER, size), d_bias.dtype)
    total = np.empty((TOGETHER, size), d_bias.dtype)
    names = np.empty(max(size, d_columns.shape[0]), np.int32)
    no_value = np.empty(0, d_bias.dtype)
    inside = arriving.size > 0
    source, factor = (names, no_value) if inside else (index, value)
    of_readout, per_step_of_readout, ahead_of_readout, decay_of_readout, d_readout, d_begin = readout
    reads = of_readout.size > 0
    read = count if reads else 0
    drive, trace = np.zeros((read, size), d_bias.dtype), np.zeros((read, size), d_bias.dtype)
    behind_readout = np.zeros((read, d_begin.size), d_bias.dtype)
    factors = np.zeros(ahead_of_readout.shape[0], d_bias.dtype)
    back_through_wires = wiring == ALL_TO_ALL and wires.size > 0
    through_readout_alone = reads and not (given.size or behind.size or back_through_wires)
    for t in range(steps - 1, -1, -1):
        linked = t + 1 < steps and (t + 1) % window > 0
        if not linked:
            lu[:] = lu.dtype.type(0)
        for start in range(0, count, TOGETHER):
            group = min(TOGETHER, count - start)
            place = t * count + start
            if not through_readout_alone:
                gather_adjoints(total, group, given, t * per_step + low + start, behind, place, ahead)
                if back_through_wires and linked:
                    call_products(total, lu, start, wires)
            for g in range(group):
                o = start + g
                r = t * batch + low + o
                ask_row_to_read(x, r, low, high, low + o, -batch)
                if reads:
                    q = t * per_step_of_readout + low + o
                    later = q if t + 1 == steps else q + per_step_of_readout
                    renew_drive(of_readout, q, later, t + 1 == steps, factors, ahead_of_readout, drive, o)
                    move_readout(of_readout, q, decay_of_readout, behind_readout, o, d_begin)
                    last = unpack_row(words, r, names, 0)
                    scatter(behind_readout, o, names, no_value, 0, last, d_readout)
                    for m in range(size):
                        trace[o, m] = decay_of_readout * trace[o, m] + drive[o, m]
                if through_readout_alone:
                    move_plain(trace, o, x, r, shape, steepness, height, decay, lu, o, d_bias)
                else:
                    if reads:
                        for m in range(size):
                            total[g, m] += trace[o, m]
                    move_plain(total, g, x, r, shape, steepness, height, decay, lu, o, d_bias)
                if out.size:
                    for m in range(size):
                        out[place + g, m] = lu[o, m]
                first, last = 0, 0
                if inside:
                    last = unpack_row(arriving, r, names, 0)
                else:
                    first, last = indptr[r], indptr[r + 1]
                scatter(lu, o, source, factor, first, last, d_columns)
                if t > 0 and wiring == ALL_TO_ALL:
                    call_scatter(lu, o, names, no_value, 0, unpack_row(words, r - batch, names, 0), d_wires)


@loop_backward
def backward_block(
    given, per_step, behind, ahead, readout, psi, x, seconds, coefficients, alike, reset, attached, second, gained,
    fires, wiring, wires, shape, steepness, height, out, indptr, index, value, arriving, words, d_columns, d_bias,
    d_wires, window, batch, low, high,
):  # fmt: skip
    """Compute the adjoints of samples [low, high) from the last step to the first, and their part of all gradients.

    What reaches the output from outside is given[t * per_step + b]; where the layer sends spikes to another, the
    adjoint of that one's current is behind[t * n + o] for its weights `ahead` [its neurons, M], with o the place in
    the block of n samples; without `ahead` it is multiplied already. A readout that went along in the loop forward
    does so here: `readout` holds the gradient of its output and that one's rows a step, its weights and its decay,
    and the gradients of its columns and bias. The adjoint of the layer's own current goes
    into `out` [T n, M] if that has a size.
    `psi` is the surrogate derivative of the block where no shape is known. `wires` is V [M, M], or [1, M]; empty
    where no gradient goes through it. No adjoint goes from one `window` of steps to that before. What has no size
    is not there.
    """
    quiet = not (second or gained) and not (attached or reset == ZERO or wiring == ONE_TO_ONE)
    if alike and quiet and (shape != GIVEN or not fires):
        backward_leaky(
            given, per_step, behind, ahead, readout, x, coefficients[0][0], wiring, wires, shape, steepness, height,
            out, indptr, index, value, arriving, words, d_columns, d_bias, d_wires, window, batch, low, high,
        )  # fmt: skip
        return
    second_spike = coefficients[7]
    size, seen, count, steps = d_bias.shape[0], x.shape[1], high - low, x.shape[0] // batch
    zero = d_bias.dtype.type(0)
    lu = np.zeros((count + TOGETHER, size), d_bias.dtype)
    lw = np.zeros_like(lu)
    now = np.zeros_like(lu)  # adjoint of the current
    total = np.empty((TOGETHER, size), d_bias.dtype)
    p = np.zeros(size, d_bias.dtype)  # where the state is wider than x it stays 0
    names = np.empty(max(size, d_columns.shape[0]), np.int32)
    no_value = np.empty(0, d_bias.dtype)
    of_readout, per_step_of_readout, ahead_of_readout, decay_of_readout, d_readout, d_begin = readout
    reads = of_readout.size > 0
    read = count if reads else 0
    drive, trace = np.zeros((read, size), d_bias.dtype), np.zeros((read, size), d_bias.dtype)
    behind_readout = np.zeros((read, d_begin.size), d_bias.dtype)
    factors = np.zeros(ahead_of_readout.shape[0], d_bias.dtype)
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
            call_gather(total, group, given, t * per_step + low + start, behind, place, ahead)
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
                        of_readout, q, later, t + 1 == steps, factors, ahead_of_readout, drive, o, decay_of_readout,
                        behind_readout, d_begin,
                    )  # fmt: skip
                    fired = unpack_row(words, r, names, 0)
                    call_scatter(behind_readout, o, names, no_value, 0, fired, d_readout)
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
