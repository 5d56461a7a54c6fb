"""The backward pass of leaky neurons with one state variable, one shared decay and a detached reset.

Arrays are described in `arguments`. All functions of a step are inlined, so that its numbers stay in registers.
"""

from fastspiking.kernels.codes import ALL_TO_ALL, loop_backward, row_backward
from fastspiking.kernels.events import unpack_row
from fastspiking.kernels.prefetch import ask_row_to_read
from fastspiking.kernels.readout import pull_readout
from fastspiking.kernels.slopes import slope_lanes, slope_row
from fastspiking.kernels.sums import add_products, add_to_rows, gather_adjoints
from fastspiking.kernels.vectors import (
    NARROW,
    WIDE,
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
def move_lanes(slope, m, g, o, place, alone, decay, decay_of_readout, rows, total, lu, out, d_bias):
    """Compute q = slope * (gradient of the spikes) + decay * lu[o], the potential's adjoint one step earlier.

    This is done for one vector of neurons from m on. q replaces lu[o], is added to `d_bias`, is written to
    out[place] if `out` has a size, and is returned. The gradient of the spikes is total[g] plus the readout's
    trace, of which `rows` (`ReadoutRows`) holds one if there is a readout; with `alone` it is the trace only.
    """
    reach = slope
    if not alone:
        reach = load(slope, total, g, m)
    if rows.trace.size:
        remembered = spread(slope, decay_of_readout) * load(slope, rows.trace, o, m)
        remembered = remembered + load(slope, rows.drive, o, m)
        store(rows.trace, o, m, remembered)
        reach = remembered if alone else reach + remembered
    q = slope * reach + spread(slope, decay) * load(slope, lu, o, m)
    store(lu, o, m, q)
    store_line(d_bias, m, load_line(slope, d_bias, m) + q)
    if out.size:
        store(out, place, m, q)
    return q


@row_backward
def add_lanes(moved, m, sums, index, value, fired, first, last, back):
    """Add the adjoint vector `moved`, of neurons from m on, to the weight gradients in `sums`.

    Input weights: the rows that index[first:last] names, times `value` if that has a size. Recurrent weights: the
    rows that fired[:back] names.
    """
    add_to_rows(moved, sums.columns, m, index, value, first, last)
    add_to_rows(moved, sums.wires, m, fired, sums.bias[:0], 0, back)


@row_backward
def pull_row(fires, curve, x, r, place, heard, *moving):
    """Compute the adjoints of one sample one step earlier, vector by vector, and add them to the weight gradients.

    The surrogate derivative of row r of x = u - threshold comes from `curve`, or from row `place` of its psi; it is
    1 if the neurons do not fire. `heard` are the arguments of `add_lanes` from its third on, `moving` those of
    `move_lanes` from its third on.
    """
    size, seen, m = heard[0].bias.size, x.shape[1], 0
    while m + WIDE <= seen:
        slope = spread(wide(x), 1.0)
        if curve.psi.size:
            slope = load(slope, curve.psi, place, m)
        elif fires:
            slope = slope_lanes(load(slope, x, r, m), curve)
        add_lanes(move_lanes(slope, m, *moving), m, *heard)
        m += WIDE
    while m < size:
        last_slope = spread(narrow(x), 1.0)
        if curve.psi.size:
            last_slope = load_part(last_slope, curve.psi, place, m, seen - m)
        elif fires:
            last_slope = slope_lanes(load_part(last_slope, x, r, m, seen - m), curve)
        add_lanes(move_lanes(last_slope, m, *moving), m, *heard)
        m += NARROW


@loop_backward
def backward_leaky(
    layer, curve, reaching, readout, rows, saved, arriving, out, sums, lu, room, window, batch, low, high
):
    """Compute what `loop_calls.backward_block` does, for one state variable, one shared decay and a detached reset.

    `lu` [n, M], the potential's adjoint, is 0 at first; `rows` is the readout's `ReadoutRows`, `room` scratch
    memory.
    """
    count, steps = high - low, saved.x.shape[0] // batch
    decay, total, names, fired = layer.coefficients.decay[0], room.total, room.names, room.fired
    recurrent = layer.wiring == ALL_TO_ALL
    through_wires = recurrent and layer.wires.size > 0
    reads, inside = readout.gradient.size > 0, arriving.words.size > 0
    alone = reads and not (reaching.output.size or reaching.next_adjoint.size or through_wires)
    index, value = (names, sums.bias[:0]) if inside else (arriving.index, arriving.value)
    for t in range(steps - 1, -1, -1):
        linked = t + 1 < steps and (t + 1) % window > 0
        if not linked:
            lu[:] = lu.dtype.type(0)
        for start in range(0, count, total.shape[0]):
            group, place = min(total.shape[0], count - start), t * count + start
            if not alone:
                gather_adjoints(total, group, reaching, t * reaching.per_step + low + start, place)
                if through_wires and linked:
                    add_products(total, group, lu, start, layer.wires)
            for g in range(group):
                o = start + g
                r = t * batch + low + o
                ask_row_to_read(saved.x, r, low, high, low + o, -batch)
                if reads:
                    pull_readout(readout, rows, t, steps, low + o, o, r, fired)
                first, last, back = 0, 0, 0
                if inside:
                    last = unpack_row(arriving.words, r, names, 0)
                else:
                    first, last = arriving.indptr[r], arriving.indptr[r + 1]
                if t > 0 and recurrent:
                    back = unpack_row(saved.words, r - batch, fired, 0)
                moving = g, o, place + g, alone, decay, readout.decay, rows, total, lu, out, sums.bias
                heard = sums, index, value, fired, first, last, back
                pull_row(layer.fires, curve, saved.x, r, place + g, heard, *moving)


@loop_backward
def chunk_leaky(gs, x, curve, lu, decay, out, kept_u, kept_x, slope, low, high):
    """Compute what `loop_calls.backward_chunk` does, for neurons of one state variable without recurrence.

    Backward in time lu = slope * gs + decay * lu. gs [rows, M] is the gradient of the spikes, lu [B, M] the adjoint
    of the potential, which is written to `out`, and to `kept_u` if wanted; `kept_x` gets slope * gs. The scratch
    memory `slope` [M] takes the surrogate derivative of a row of x.
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
