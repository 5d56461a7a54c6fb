"""What goes along with the loops of a neuron's own step: events in front of them, and a readout behind.

Each function makes one step of some samples, so that what it hands on is still in the nearest cache. Rows of what
lies over time are t * batch + b. What has no size is not there.
"""

from __future__ import annotations

import numpy as np

from sgbench.engine.kernels.codes import entry, loop, loop_backward
from sgbench.engine.kernels.events import add_rows, write_bits
from sgbench.engine.kernels.prefetch import LINE_BYTES, ask_to_read
from sgbench.engine.kernels.readout import call_readout, read_out, room_of_readout
from sgbench.engine.kernels.sums import scatter


@loop
def drive(driven, r, current, place, count):
    """Write the current of rows r, r + 1, ... at a place: the bias, and the weights of what arrives there."""
    index, columns = driven.index, driven.columns
    if not columns.size:
        return
    for k in range(count):
        for m in range(current.shape[1]):
            current[place + k, m] = driven.begin[m]
        first, last = driven.indptr[r + k], driven.indptr[r + k + 1]
        if k + 1 < count:  # the weights of the next row are asked for
            for e in range(last, driven.indptr[r + k + 2]):
                for m in range(0, columns.shape[1], LINE_BYTES // columns.itemsize):
                    ask_to_read(columns, np.intp(index[e]), m)
        add_rows(current, place + k, columns, index, driven.value, first, last)


@entry
def send(sent, spikes, place, r, b, count):
    """Pack the spikes of samples b, b + 1, ... from a place on into rows r, r + 1, ..., and advance the readout.

    `sent` holds the packed spikes, and the readout.
    """
    words, readout = sent
    if words.size:
        pack_and_read(words, readout, spikes, place, r, b, count, np.empty(spikes.shape[1], np.int32))


@loop
def pack_and_read(words, readout, spikes, place, r, b, count, names):
    """Compute what `send` does, with room for the names of neurons."""
    for k in range(count):
        write_bits(spikes, place + k, words, r + k)
        if readout.output.size:
            read_out(words, r + k, names, readout, b + k)


@entry
def room(read_back, count):
    """Create what a readout has of so many samples on the way back, and room for the names of one."""
    return room_of_readout(read_back, count), np.empty(read_back.weights.shape[1], np.int32)


@loop_backward
def hear(read_back, own, outside, arriving, r, b, count, step, steps):
    """Write what reaches the spikes of samples b, b + 1, ... in a step, of rows r, r + 1, ..., into `arriving`.

    `own` is what `room` has made. What comes from `outside` is added.
    """
    if not read_back.gradient.size:
        return
    rows, names = own
    for k in range(count):
        call_readout(read_back, rows, step, steps, b + k, k, r + k, names)
        for m in range(arriving.shape[1]):
            arriving[b + k, m] = rows.trace[k, m]
        if outside.size:
            for m in range(arriving.shape[1]):
                arriving[b + k, m] += outside[r + k, m]


@loop_backward
def take(taken, r, adjoint, place, count):
    """Add the adjoint of the current of rows r, r + 1, ... to the gradients of the weights that made it."""
    indptr, index, value, d_columns, d_bias = taken
    if not d_columns.size:
        return
    for k in range(count):
        for m in range(d_bias.size):
            d_bias[m] += adjoint[place + k, m]
        scatter(adjoint, place + k, index, value, indptr[r + k], indptr[r + k + 1], d_columns)
