"""The backward pass of leaky neurons with one state variable, one shared decay and a detached reset.

Arrays are described in `arguments`. All functions of a step are inlined, so that its numbers stay in registers.
"""

from fastspiking.kernels.backward import slope_lanes, slope_row
from fastspiking.kernels.codes import ALL_TO_ALL, loop_backward, row_backward
from fastspiking.kernels.events import active_inputs, unpack_row
from fastspiking.kernels.readout import pull_readout
from fastspiking.kernels.sums import add_products, add_to_rows, gather_adjoints
from fastspiking.kernels.vectors import (
    NARROW,
    WIDE,
    ask_row_to_read,
    load,
    load_line,
    load_part,
    narrow,
    spread,
    store,
    store_line,
    wide,
)


@row_backward
def move_lanes(slope, m, g, o, place, trace_only, decay, decay_of_readout, rows, total, lu, out, d_bias):
    """Compute q = slope * (gradient of the spikes) + decay * lu[o], the potential's adjoint one step earlier.

    This is done for one vector of neurons from m on. q replaces lu[o], is added to `d_bias`, is written to
    out[place] if `out` has a size, and is returned. The gradient of the spikes is total[g], plus the trace of a
    readout if there is one, which is advanced in `rows` (`ReadoutRows`); with `trace_only`, total[g] is left out.
    """
    arriving = slope
    if not trace_only:
        arriving = load(slope, total, g, m)
    if rows.trace.size:
        trace = spread(slope, decay_of_readout) * load(slope, rows.trace, o, m)
        trace = trace + load(slope, rows.drive, o, m)
        store(rows.trace, o, m, trace)
        arriving = trace if trace_only else arriving + trace
    q = slope * arriving + spread(slope, decay) * load(slope, lu, o, m)
    store(lu, o, m, q)
    store_line(d_bias, m, load_line(slope, d_bias, m) + q)
    if out.size:
        store(out, place, m, q)
    return q


@row_backward
def add_lanes(q, m, sums, index, value, fired, first, last, fired_count):
    """Add the adjoint vector q, of neurons from m on, to the weight gradients in `sums`.

    For input weights these are the rows index[first:last], with factors `value` if that has a size. For recurrent
    weights they are the rows fired[:fired_count].
    """
    add_to_rows(q, sums.columns, m, index, value, first, last)
    add_to_rows(q, sums.wires, m, fired, sums.bias[:0], 0, fired_count)


@row_backward
def pull_row(fires, curve, x, r, place, gradient_arguments, *move_arguments):
    """Compute the adjoints of one sample one step earlier, vector by vector, and add them to the weight gradients.

    The surrogate derivative of row r of x = u - threshold comes from `curve`, or from row `place` of its psi; it is
    1 if the neurons do not fire. `gradient_arguments` are passed to `add_lanes` behind q and m, `move_arguments` to
    `move_lanes` behind slope and m. Rows of x have no padding; the last vectors read zeros behind their end.
    """
    size, neurons, m = gradient_arguments[0].bias.size, x.shape[1], 0
    while m + WIDE <= neurons:
        slope = spread(wide(x), 1.0)
        if curve.psi.size:
            slope = load(slope, curve.psi, place, m)
        elif fires:
            slope = slope_lanes(load(slope, x, r, m), curve)
        add_lanes(move_lanes(slope, m, *move_arguments), m, *gradient_arguments)
        m += WIDE
    while m < size:
        last_slope = spread(narrow(x), 1.0)
        if curve.psi.size:
            last_slope = load_part(last_slope, curve.psi, place, m, neurons - m)
        elif fires:
            last_slope = slope_lanes(load_part(last_slope, x, r, m, neurons - m), curve)
        add_lanes(move_lanes(last_slope, m, *move_arguments), m, *gradient_arguments)
        m += NARROW


@loop_backward
def backward_leaky(
    layer, curve, reaching, readout, rows, saved, arriving, out, sums, lu, room, window, batch, low, high
):
    """Compute what `numba_steps.backward_block` does, for one state variable, one shared decay and a detached reset.

    `lu` [n, M], the potential's adjoint, is 0 at first; `rows` is the readout's `ReadoutRows`, `room` scratch
    memory. Samples are computed in groups of as many as room.total has rows. Of a sample, o is the row in the block,
    r the row in arrays over time, and place + g the row in `out` and psi.
    """
    count, steps = high - low, saved.x.shape[0] // batch
    decay, total, names, fired = layer.coefficients.decay[0], room.total, room.names, room.fired
    recurrent = layer.wiring == ALL_TO_ALL
    through_wires = recurrent and layer.wires.size > 0
    has_readout, packed = readout.gradient.size > 0, arriving.words.size > 0
    trace_only = has_readout and not (reaching.output.size or reaching.next_adjoint.size or through_wires)
    index, value = (names, sums.bias[:0]) if packed else (arriving.index, arriving.value)
    for t in range(steps - 1, -1, -1):
        has_next = t + 1 < steps and (t + 1) % window > 0  # whether gradient comes from step t + 1
        if not has_next:
            lu[:] = lu.dtype.type(0)
        for start in range(0, count, total.shape[0]):
            group, place = min(total.shape[0], count - start), t * count + start
            if not trace_only:
                gather_adjoints(total, group, reaching, t * reaching.per_step + low + start, place)
            if through_wires and has_next:
                add_products(total, group, lu, start, layer.wires)
            for g in range(group):
                o = start + g
                r = t * batch + low + o
                ask_row_to_read(saved.x, r, low, high, low + o, -batch)
                if has_readout:
                    pull_readout(readout, rows, t, steps, low + o, o, r, fired)
                first, last = active_inputs(arriving, r, names)
                fired_count = unpack_row(saved.words, r - batch, fired, 0) if recurrent and t > 0 else 0
                gradient_arguments = sums, index, value, fired, first, last, fired_count
                move_arguments = g, o, place + g, trace_only, decay, readout.decay, rows, total, lu, out, sums.bias
                pull_row(layer.fires, curve, saved.x, r, place + g, gradient_arguments, *move_arguments)


@loop_backward
def chunk_leaky(gs, x, curve, lu, decay, out, kept_u, kept_x, slope, low, high):
    """Compute what `numba_steps.backward_chunk` does, for neurons of one state variable without recurrence.

    Backward in time lu = slope * gs + decay * lu. gs [rows, M] is the gradient of the spikes, lu [B, M] the adjoint
    of the potential. lu is written to `out`, and to `kept_u` if that has a size; slope * gs is written to `kept_x`,
    likewise. The scratch memory `slope` [M] takes the surrogate derivative of a row of x.
    """
    batch, size = lu.shape
    for begin in range(out.shape[0] - batch, -1, -batch):
        for b in range(low, high):
            r = begin + b
            slope_row(x, r, curve, r, slope)
            for m in range(kept_x.shape[1]):
                kept_x[r, m] = slope[m] * gs[r, m]
            for m in range(size):
                lu[b, m] = slope[m] * gs[r, m] + decay[m] * lu[b, m]
            for m in range(kept_u.shape[1]):
                kept_u[r, m] = lu[b, m]
            for m in range(size):
                out[r, m] = lu[b, m]
