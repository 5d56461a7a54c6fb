"""The adjoint of the commonest neurons: one state variable, one decay, a detached reset; names are in `arguments`.

Numbers of a short loop stay in registers, for all that makes a step is copied into it.
"""

from __future__ import annotations

from sgbench.engine.kernels.codes import ALL_TO_ALL, loop_backward, row_backward
from sgbench.engine.kernels.events import unpack_row
from sgbench.engine.kernels.prefetch import ask_row_to_read
from sgbench.engine.kernels.readout import pull_readout
from sgbench.engine.kernels.slopes import slope_lanes, slope_row
from sgbench.engine.kernels.sums import add_products, add_to_rows, gather_adjoints
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
    wide,
)


@row_backward
def move_lanes(slope, m, g, o, place, alone, decay, decay_of_readout, rows, total, lu, out, d_bias):
    """Move the adjoint lu[o] of neurons from m on a step back through slope and decay; add it to d_bias, return it.

    What reaches the spikes is total[g], and the trace of a readout where there is one; that one `alone` where
    nothing else can.
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
    """Add the adjoint of neurons from m on to the weights of events [first, last), and of neurons [0, back)."""
    add_to_rows(moved, sums.columns, m, index, value, first, last)
    add_to_rows(moved, sums.wires, m, fired, sums.bias[:0], 0, back)


@row_backward
def pull_row(fires, curve, x, r, place, heard, *moving):
    """Move the adjoints of a sample a step back, vector by vector, and add them to the gradients of weights.

    `heard` is what `add_lanes` takes from its third argument on, `moving` what `move_lanes` does.
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
    """Compute what `backward_block` does, for one state variable, one decay and a detached reset; `lu` is 0."""
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
    """Compute what `backward_chunk` does, for neurons of one variable on which slope and decay act alone."""
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
