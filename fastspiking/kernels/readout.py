r"""A readout computed in the loop of the layer before it: neither its current nor its adjoint is written to memory.

A readout v[t] = d v[t-1] + W s[t] + b whose neurons share one decay d is linear. So is its adjoint
l[t] = d l[t+1] + g[t], with g[t] the gradient of v[t]. The gradient that reaches the spikes s[t] is a trace, too:

.. math::
    W^T l[t] = d\, W^T l[t+1] + W^T g[t]

If g[t] equals g[t+1], as for a loss of a sum over time, W^T g[t] is known already. If it is 0, as in most steps for
a loss of the largest or the last potential, so is the product. All other products are computed.
"""

from fastspiking.kernels.codes import inner_backward, row, row_backward
from fastspiking.kernels.events import sum_rows, unpack_row
from fastspiking.kernels.sums import scatter
from fastspiking.kernels.vectors import (
    NARROW,
    WIDE,
    bits_differing,
    load,
    load_line,
    load_part,
    narrow,
    spread,
    store,
    store_line,
    store_part,
    wide,
)


@row
def read_out(words, r, names, readout, b):
    """Advance the readout of sample b by the packed spikes words[r], and write output[r]; return how many spikes.

    v = decay * v + bias + weights of the spikes, a vector of outputs at a time. `readout` is a `Readout`, with
    `columns` the weights, `begin` the bias and y the output. `names` is scratch memory for the indices of the
    spiking neurons. All spikes are 1, so no values are passed on: begin[:0] is an empty array.
    """
    columns, begin, v, decay, y = readout
    kind = narrow(v)
    count = unpack_row(words, r, names, 0)
    for c in range(0, v.shape[1], NARROW):
        current = sum_rows(load_line(kind, begin, c), columns, c, names, begin[:0], 0, count)
        after = spread(kind, decay) * load(kind, v, b, c) + current
        store(v, b, c, after)
        store_part(y, r, c, y.shape[1] - c, after)
    return count


@row_backward
def pull_through(kind, grad_output, q, weights, m):
    """Return one vector of W^T grad_output[q], columns from m on, skipping factors of 0; `kind` is 0 at first."""
    for k in range(grad_output.shape[1]):
        factor = grad_output[q, k]
        if factor != 0:
            kind = kind + spread(kind, factor) * load(kind, weights, k, m)
    return kind


@row_backward
def renew_drive(grad_output, q, later, is_last, weights, drive, o):
    """Set drive[o] = W^T grad_output[q], unless it already has that value.

    It has if grad_output[q] equals grad_output[later], the gradient of the following step, for which it was computed.
    In the last step (`is_last`) it is always computed. `weights` is W [C, M].
    """
    differs = is_last
    if q != later:
        for c in range(0, grad_output.shape[1], NARROW):
            count = grad_output.shape[1] - c
            now = load_part(narrow(drive), grad_output, q, c, count)
            differs |= bits_differing(now, load_part(narrow(drive), grad_output, later, c, count)) != 0
    if differs:
        m = 0
        while m + WIDE <= drive.shape[1]:
            store(drive, o, m, pull_through(wide(drive), grad_output, q, weights, m))
            m += WIDE
        while m < drive.shape[1]:
            store(drive, o, m, pull_through(narrow(drive), grad_output, q, weights, m))
            m += NARROW


@row_backward
def move_readout(grad_output, q, decay, adjoint, o, d_bias):
    """Set adjoint[o] = decay * adjoint[o] + grad_output[q], and add it to `d_bias`, the gradient of the bias."""
    kind = narrow(adjoint)
    for c in range(0, adjoint.shape[1], NARROW):
        moved = spread(kind, decay) * load(kind, adjoint, o, c) + load_part(
            kind, grad_output, q, c, grad_output.shape[1] - c
        )
        store(adjoint, o, c, moved)
        store_line(d_bias, c, load_line(kind, d_bias, c) + moved)


@row_backward
def pull_readout(back, rows, step, steps, b, o, r, names):
    """Move the readout of sample b, row o of the block, one step back, and add to the gradients of its weights.

    `back` is a `ReadoutBack`, `rows` its `ReadoutRows`. back.words[r] are the spikes that it received in `step` of
    `steps`; `names` is scratch memory for the indices of the neurons that sent them.
    """
    q = step * back.per_step + b
    is_last = step + 1 == steps
    later = q if is_last else q + back.per_step
    renew_drive(back.gradient, q, later, is_last, back.weights, rows.drive, o)
    move_readout(back.gradient, q, back.decay, rows.adjoint, o, back.d_begin)
    count = unpack_row(back.words, r, names, 0)
    scatter(rows.adjoint, o, names, back.d_begin[:0], 0, count, back.d_columns)


@inner_backward
def call_readout(back, rows, step, steps, b, o, r, names):
    """Compute what `pull_readout` does, not inlined, and set trace[o] = decay * trace[o] + drive[o]."""
    pull_readout(back, rows, step, steps, b, o, r, names)
    for m in range(rows.trace.shape[1]):
        rows.trace[o, m] = back.decay * rows.trace[o, m] + rows.drive[o, m]
