"""What generated loops call for the layers around theirs: the current from input events, and a readout that follows.

Each function makes one step of `count` samples, so that its result is still in the nearest cache: sample b + k, for
k in [0, count), is in row r + k of arrays over time (row t * batch + b is step t of sample b), and in row place + k of
the array that the generated loop works on. m is a neuron, e an event. An array of size 0 stands for an absent one.
"""

import numpy as np

from fastspiking.kernels.arguments import ReadoutRows
from fastspiking.kernels.codes import entry, loop, loop_backward
from fastspiking.kernels.events import add_rows, write_bits
from fastspiking.kernels.readout import call_readout, read_out
from fastspiking.kernels.sums import scatter
from fastspiking.kernels.vectors import LINE_BYTES, ask_to_read


@loop
def sum_events(driven, r, current, place, count):
    """Set current[place + k] to bias plus summed weights of the events of row r + k, for k in [0, count).

    `driven` is an `InputCurrent` of events; without weights `current` is given already, and stays as it is.
    """
    index, columns = driven.index, driven.columns
    if not columns.size:
        return
    for k in range(count):
        for m in range(current.shape[1]):
            current[place + k, m] = driven.begin[m]
        first, last = driven.indptr[r + k], driven.indptr[r + k + 1]
        if k + 1 < count:  # prefetch the weights of the next row
            for e in range(last, driven.indptr[r + k + 2]):
                for m in range(0, columns.shape[1], LINE_BYTES // columns.itemsize):
                    ask_to_read(columns, np.intp(index[e]), m)
        add_rows(current, place + k, columns, index, driven.value, first, last)


@entry
def send(sent, spikes, place, r, b, count):
    """Pack spikes[place + k] to bits, and advance the readout of sample b + k by them, for k in [0, count).

    `sent` is the pair (words, readout): bits go to row r + k of words [T B, blocks of 64], of size 0 where nothing
    is to be packed; the readout is a `Readout`, which may be absent.
    """
    words, readout = sent
    if words.size:
        pack_and_read(words, readout, spikes, place, r, b, count, np.empty(spikes.shape[1], np.int32))


@loop
def pack_and_read(words, readout, spikes, place, r, b, count, names):
    """Compute what `send` does; `names` int32 [M] is scratch memory for the numbers of spiking neurons."""
    for k in range(count):
        write_bits(spikes, place + k, words, r + k)
        if readout.output.size:
            read_out(words, r + k, names, readout, b + k)


@entry
def readout_scratch(read_back, count):
    """Create the scratch memory of a readout's backward steps for `count` samples; see `gather_spike_gradient`.

    Returns a pair: the `ReadoutRows`, and int32 [M] for the numbers of spiking neurons.
    """
    number, samples = read_back.d_begin.dtype, count if read_back.gradient.size else 0
    size = read_back.weights.shape[1]
    rows = ReadoutRows(
        np.zeros((samples, size), number), np.zeros((samples, size), number),
        np.zeros((samples, read_back.d_begin.size), number),
    )  # fmt: skip
    return rows, np.empty(size, np.int32)


@loop_backward
def gather_spike_gradient(read_back, scratch, outside, arriving, r, b, count, step, steps):
    """Set arriving[b + k] to the gradient of the spikes in row r + k, from readout and `outside`; k in [0, count).

    `read_back` is the `ReadoutBack`; without one nothing is done. `scratch` comes from `readout_scratch`; `outside`
    [T B, M] is the gradient from elsewhere, or of size 0. `step` of `steps` is the step of these rows.
    """
    if not read_back.gradient.size:
        return
    rows, names = scratch
    for k in range(count):
        call_readout(read_back, rows, step, steps, b + k, k, r + k, names)
        for m in range(arriving.shape[1]):
            arriving[b + k, m] = rows.trace[k, m]
        if outside.size:
            for m in range(arriving.shape[1]):
                arriving[b + k, m] += outside[r + k, m]


@loop_backward
def add_gradients(gradients, r, adjoint, place, count):
    """Add adjoint[place + k], of the current in row r + k, to the gradients of weights and bias; k in [0, count).

    `gradients` is an `EventGradients`: the events of the rows, and the gradients that are added to.
    """
    indptr, index, value, d_columns, d_bias = gradients
    if not d_columns.size:
        return
    for k in range(count):
        for m in range(d_bias.size):
            d_bias[m] += adjoint[place + k, m]
        scatter(adjoint, place + k, index, value, indptr[r + k], indptr[r + k + 1], d_columns)
