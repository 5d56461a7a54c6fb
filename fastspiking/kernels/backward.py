"""The backward pass of one layer over its steps, for a block of samples or a chunk of time.

Arrays are described in `arguments`. By blocks, the adjoint of a current is passed to the previous layer in rows of
the block alone. It is added to the gradients of weights row by row, while it is in the nearest cache: no event is
sorted, and no adjoint of all steps is kept. Functions are called, not inlined, since copies take long to compile.
"""

from fastspiking.kernels.codes import (
    ALL_TO_ALL,
    ATAN,
    FAST_SIGMOID,
    ONE_TO_ONE,
    SUBTRACT,
    SUBTRACT_DECAYED,
    ZERO,
    inner_backward,
    loop_backward,
    row_backward,
)
from fastspiking.kernels.events import unpack_row
from fastspiking.kernels.readout import call_readout
from fastspiking.kernels.sums import add_products, call_gather, call_scatter
from fastspiking.kernels.vectors import ask_row_to_read, spread, where_above


@row_backward
def slope_lanes(x, curve):
    """Return the surrogate derivative at a vector x of distances from threshold; `curve` is of a known shape."""
    one = spread(x, 1.0)
    zero = one - one
    z = spread(x, curve.steepness) * x
    if curve.shape == ATAN:
        slope = spread(x, curve.height) / (one + z * z)
    elif curve.shape == FAST_SIGMOID:
        z = one + where_above(z, zero, z, zero - z)
        slope = spread(x, curve.height) / (z * z)
    else:
        z = one - where_above(z, zero, z, zero - z)
        slope = spread(x, curve.height) * where_above(zero, z, zero, z)
    return slope


@row_backward
def slope_row(x, r, curve, place, out):
    """Write to out [M] the surrogate derivative at x[r], the distances from threshold.

    `curve` is a `SlopeSource`; where it holds the derivative itself, that is row `place` of its psi.
    """
    size, one = x.shape[1], x.dtype.type(1)
    _, steepness, height, psi = curve
    if psi.size:
        for m in range(size):
            out[m] = psi[place, m]
    elif curve.shape == ATAN:
        for m in range(size):
            z = steepness * x[r, m]
            out[m] = height / (one + z * z)
    elif curve.shape == FAST_SIGMOID:
        for m in range(size):
            z = one + abs(steepness * x[r, m])
            out[m] = height / (z * z)
    else:
        for m in range(size):
            out[m] = height * max(one - abs(steepness * x[r, m]), one - one)


@inner_backward
def add_reset(total, g, x, w, r, lu, o, coefficients, reset, second):
    """Add to total[g], the gradient of a sample's spikes, what the reset of the next step sends back.

    `lu` [n, M] is the adjoint of the next step's potential, o the sample's row in it; r is the sample's row in the
    saved x = u - threshold and w. `reset` and `second` are those of `NeuronArrays`, whose reset is attached.
    """
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
                total[g, m] -= decay[m] * slope[m] * w[r, m] * lu[o, m]


@row_backward
def add_own_steps(total, g, layer, saved, r, adjoint, o):
    """Add to total[g], the gradient of a sample's spikes, what the next step of the same neurons sends back.

    Three ways lead there: one-to-one recurrent weights, the second variable w, and an attached reset. `adjoint` is
    the `States` of the next step, o the sample's row in it; r is its row in `saved`.
    """
    size, second_spike = saved.x.shape[1], layer.coefficients.second_spike
    if layer.wiring == ONE_TO_ONE and layer.wires.size:
        for m in range(size):
            total[g, m] += layer.wires[0, m] * adjoint.last[o, m]
    if layer.second:
        for m in range(size):
            total[g, m] += second_spike[m] * adjoint.w[o, m]
    if layer.attached:
        add_reset(total, g, saved.x, saved.w, r, adjoint.u, o, layer.coefficients, layer.reset, layer.second)


@row_backward
def _move_current(total, g, b, gw, ends, adjoint, o, coefficients, second, gained):
    """Replace the next step's adjoints of w and of the current by those of this step; that of u is this step's already.

    Arguments are those of `move_states`, whose last part this is.
    """
    lu, lw, now = adjoint
    _, _, gain, coupling, second_decay, _, second_input, _, slope = coefficients
    size = lu.shape[1]
    if second:
        for m in range(size):
            lw[o, m] = second_decay[m] * lw[o, m] + coupling[m] * lu[o, m] - slope[m] * total[g, m]
        if ends:
            for m in range(gw.shape[1]):
                lw[o, m] += gw[b, m]
        for m in range(size):
            now[o, m] = gain[m] * lu[o, m] + second_input[m] * lw[o, m]
    elif gained:
        for m in range(size):
            now[o, m] = gain[m] * lu[o, m]
    else:
        for m in range(size):
            now[o, m] = lu[o, m]


@inner_backward
def move_states(total, g, p, x, r, b, gx, gu, gw, ends, adjoint, o, coefficients, reset, second, gained, fires):
    """Replace the next step's adjoints of u, w and the current, in row o of `adjoint`, by those of this step.

    These are the equations of `fastspiking.recursion` for one sample. total[g] is the gradient ds of its spikes, and
    becomes dx, that of x = u - threshold. p [M] is the surrogate derivative. Row r of gx, the gradient of x from
    outside, is added; in the last step (`ends`) also row b of gu and gw, the gradients of the last u and w. The other
    arguments are fields of `NeuronArrays`.
    """
    lu, lw, _ = adjoint
    decay, second_potential = coefficients.decay, coefficients.second_potential
    size, one = lu.shape[1], lu.dtype.type(1)
    if fires:
        for m in range(size):
            total[g, m] *= p[m]
        if reset == ZERO:
            for m in range(x.shape[1]):  # a product, since NaN has to stay NaN
                lu[o, m] *= one - one if x[r, m] > 0 else one
    for m in range(gx.shape[1]):
        total[g, m] += gx[r, m]
    for m in range(size):
        lu[o, m] = total[g, m] + decay[m] * lu[o, m]
    if second:
        for m in range(size):
            lu[o, m] += second_potential[m] * lw[o, m]
    if ends:
        for m in range(gu.shape[1]):
            lu[o, m] += gu[b, m]
    _move_current(total, g, b, gw, ends, adjoint, o, coefficients, second, gained)


@row_backward
def add_gradients(now, o, layer, saved, arriving, r, before, names, sums):
    """Add now[o], a current's adjoint, to the gradients `sums` of bias, input weights and recurrent weights.

    The active inputs are in row r of `arriving` (an `InputCurrent`). The neurons that fired a step earlier are in
    row `before` of `saved`; it is negative in the first step. `names` is scratch memory for indices of neurons.
    """
    none = sums.bias[:0]
    for m in range(sums.bias.size):
        sums.bias[m] += now[o, m]
    if arriving.words.size:
        call_scatter(now, o, names, none, 0, unpack_row(arriving.words, r, names, 0), sums.columns)
    else:
        call_scatter(now, o, arriving.index, arriving.value, arriving.indptr[r], arriving.indptr[r + 1], sums.columns)
    if before >= 0 and layer.wiring == ALL_TO_ALL:
        call_scatter(now, o, names, none, 0, unpack_row(saved.words, before, names, 0), sums.wires)
    elif before >= 0 and layer.wiring == ONE_TO_ONE:
        for m in range(saved.x.shape[1]):
            sums.wires[0, m] += now[o, m] if saved.x[before, m] > 0 else none.dtype.type(0)


@row_backward
def _add_readout(total, g, readout, rows, t, steps, b, o, r, names):
    """Move the readout of sample b one step back, if there is one, and add what its spikes get from it to total[g].

    Arguments are those of `readout.call_readout`.
    """
    if readout.gradient.size:
        call_readout(readout, rows, t, steps, b, o, r, names)
        for m in range(total.shape[1]):
            total[g, m] += rows.trace[o, m]


@row_backward
def write_adjoints(out, place, kept, r, total, g, adjoint, o):
    """Write the current's adjoint to out[place], and to row r of `kept` those of u, w and x = u - threshold.

    They are in row o of `adjoint`, and in total[g]. Arrays of size 0 are not written.
    """
    for m in range(out.shape[1]):
        out[place, m] = adjoint.last[o, m]
    for m in range(kept.u.shape[1]):
        kept.u[r, m], kept.x[r, m] = adjoint.u[o, m], total[g, m]
    for m in range(kept.w.shape[1]):
        kept.w[r, m] = adjoint.w[o, m]


@loop_backward
def backward_any(
    layer, curve, reaching, readout, rows, saved, arriving, out, kept, sums, adjoint, room, window, batch, low,
    high,
):  # fmt: skip
    """Compute what `numba_steps.backward_block` or `numba_steps.backward_chunk` does, for neurons of any kind.

    A block has `sums` of size > 0; its `adjoint`, `out` and psi then have rows of its own samples alone. A chunk has
    rows of all samples there, and its caller adds the gradients of weights. `rows` is the readout's `ReadoutRows`;
    `room` is scratch memory, with a slope of 0.

    Samples are computed in groups of as many as `total` has rows. Of sample b in step t, r is the row in arrays over
    time, o the row in `adjoint`, and place + g the row in `out` and psi.
    """
    is_block, steps = sums.bias.size > 0, saved.x.shape[0] // batch
    first_sample, rows_per_step = (low, high - low) if is_block else (0, batch)
    total, names = room.total, room.names
    for t in range(steps - 1, -1, -1):
        has_next = t + 1 < steps and (t + 1) % window > 0  # whether gradient comes from step t + 1
        if is_block and not has_next:
            for field in adjoint:
                field[:] = field.dtype.type(0)
        for start in range(low, high, total.shape[0]):
            group, place = min(total.shape[0], high - start), t * rows_per_step + start - first_sample
            call_gather(total, group, reaching, t * reaching.per_step + start, place)
            if is_block and layer.wiring == ALL_TO_ALL and layer.wires.size and has_next:
                add_products(total, group, adjoint.last, start - first_sample, layer.wires)
            for g in range(group):
                b, o, r = start + g, start + g - first_sample, t * batch + start + g
                ask_row_to_read(saved.x, r, low, high, b, -batch)
                _add_readout(total, g, readout, rows, t, steps, b, o, r, names)
                if layer.fires:
                    slope_row(saved.x, r, curve, place + g, room.slope)
                    add_own_steps(total, g, layer, saved, r, adjoint, o)
                for m in range(kept.spikes.shape[1]):
                    kept.spikes[r, m] = total[g, m]
                move_states(
                    total, g, room.slope, saved.x, r, b, reaching.x, reaching.u, reaching.w, t + 1 == steps,
                    adjoint, o, layer.coefficients, layer.reset, layer.second, layer.gained, layer.fires,
                )  # fmt: skip
                write_adjoints(out, place + g, kept, r, total, g, adjoint, o)
                if is_block:
                    add_gradients(adjoint.last, o, layer, saved, arriving, r, r - batch, names, sums)
