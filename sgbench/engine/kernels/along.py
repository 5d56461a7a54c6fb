"""What goes along with the loops of a neuron's own step: events in front of them, and a readout behind.

Each function makes one step of some samples, so that what it hands on is still in the nearest cache. Rows of what
lies over time are t * batch + b. What has no size is not there.
"""

from __future__ import annotations

import numpy as np

from sgbench.engine.kernels.bits import write_bits
from sgbench.engine.kernels.codes import entry, loop, loop_backward
from sgbench.engine.kernels.events import add_rows, unpack_row
from sgbench.engine.kernels.prefetch import LINE_BYTES, ask_to_read
from sgbench.engine.kernels.readout import move_readout, read_out, renew_drive
from sgbench.engine.kernels.sums import scatter


@loop
def drive(driven, r, current, place, count):
    """Write the current of rows r, r + 1, ... at a place: the bias, and the weights of what arrives there.

    `driven` holds events, the weights by columns and the bias.
    """
    indptr, index, value, columns, begin = driven
    if not columns.size:
        return
    for k in range(count):
        for m in range(current.shape[1]):
            current[place + k, m] = begin[m]
        first, last = indptr[r + k], indptr[r + k + 1]
        if k + 1 < count:  # the weights of the next row are asked for
            for e in range(last, indptr[r + k + 2]):
                for m in range(0, columns.shape[1], LINE_BYTES // columns.itemsize):
                    ask_to_read(columns, np.intp(index[e]), m)
        add_rows(current, place + k, columns, index, value, first, last)


@entry
def send(sent, spikes, place, r, b, count):
    """Pack the spikes of samples b, b + 1, ... from a place on into rows r, r + 1, ..., and advance the readout.

    `sent` holds the packed spikes, and the readout's columns, bias, state, decay and output.
    """
    words, readout = sent
    if words.size:
        pack_and_read(words, readout, spikes, place, r, b, count, np.empty(spikes.shape[1], np.int32))


@loop
def pack_and_read(words, readout, spikes, place, r, b, count, names):
    """Compute what `send` does, with room for the names of neurons."""
    for k in range(count):
        write_bits(spikes, place + k, words, r + k)
        if readout[-1].size:
            read_out(words, r + k, names, readout, b + k)


@entry
def room(read_back, count):
    """Create what a readout has of so many samples on the way back: drive, trace and adjoint; and names of one."""
    grad_output, _, weights, _, _, _, begin = read_back
    samples, number = (count if grad_output.size else 0), begin.dtype
    return (
        np.zeros((samples, weights.shape[1]), number),
        np.zeros((samples, weights.shape[1]), number),
        np.zeros((samples, begin.size), number),
        np.empty(weights.shape[1], np.int32),
    )


@loop_backward
def hear(read_back, own, outside, arriving, r, b, count, step, steps):
    """Write what reaches the spikes of samples b, b + 1, ... in a step, of rows r, r + 1, ..., into `arriving`.

    `read_back` holds the gradient of the readout's output and that one's rows a step, its weights and decay, the
    packed spikes that it got, and the gradients of its columns and bias; `own` is what `room` has made. What comes
    from `outside` is added.
    """
    grad_output, per_step, weights, decay, words, d_columns, d_begin = read_back
    if not grad_output.size:
        return
    driving, trace, adjoint, names = own
    is_last = step + 1 == steps
    for k in range(count):
        q = step * per_step + b + k
        renew_drive(grad_output, q, q if is_last else q + per_step, is_last, weights, driving, k)
        move_readout(grad_output, q, decay, adjoint, k, d_begin)
        scatter(adjoint, k, names, d_begin[:0], 0, unpack_row(words, r + k, names, 0), d_columns)
        for m in range(trace.shape[1]):
            trace[k, m] = decay * trace[k, m] + driving[k, m]
        for m in range(arriving.shape[1]):
            arriving[b + k, m] = trace[k, m]
        if outside.size:
            for m in range(arriving.shape[1]):
                arriving[b + k, m] += outside[r + k, m]


@loop_backward
def take(taken, r, adjoint, place, count):
    """Add the adjoint of the current of rows r, r + 1, ... to the gradients of the weights that made it.

    `taken` holds events and the gradients of columns and bias.
    """
    indptr, index, value, d_columns, d_bias = taken
    if not d_columns.size:
        return
    for k in range(count):
        for m in range(d_bias.size):
            d_bias[m] += adjoint[place + k, m]
        scatter(adjoint, place + k, index, value, indptr[r + k], indptr[r + k + 1], d_columns)
