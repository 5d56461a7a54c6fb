"""Currents and weight gradients of rows with many events, by pieces of neurons whose weights fit a core's cache.

Weights and their gradients are one line of pieces: of the first 32 neurons [K, 32], of the next 32, and so on. Sums
are made in the order of `forward` and `backward`, so bits are the same. Letters are those of `arguments`.
"""

import numpy as np

from fastspiking.kernels.codes import loop, loop_backward, row, row_backward
from fastspiking.kernels.vectors import HALF, half, load, load_line, spread, store, store_line, store_part

PIECE = HALF  # neurons of a piece; of 16, 32 and 64 the fastest, forward and backward


@row
def sum_events(total, line, place, index, value, first, last):
    """Return total + value times weights of the events [first, last), in the piece that begins at line[place]."""
    if value.size:
        for e in range(first, last):
            weight = load_line(total, line, place + np.intp(index[e]) * PIECE)
            total = total + spread(total, value[e]) * weight
    else:
        for e in range(first, last):
            total = total + load_line(total, line, place + np.intp(index[e]) * PIECE)
    return total


@row_backward
def add_to_events(q, line, place, index, value, first, last):
    """Add each event's part to the gradients of its weights: its value (1 if `value` is empty) times the adjoint q.

    Events are [first, last) and come in over synapse index[e], whose PIECE gradients, one for each of the neurons that
    q covers, begin at line[place + index[e] PIECE].
    """
    if value.size:
        for e in range(first, last):
            target = place + np.intp(index[e]) * PIECE
            store_line(line, target, load_line(q, line, target) + spread(q, value[e]) * q)
    else:
        for e in range(first, last):
            target = place + np.intp(index[e]) * PIECE
            store_line(line, target, load_line(q, line, target) + q)


@loop
def gather_pieces(indptr, index, value, line, begin, current, batch, low, high):
    """Sum the input currents of samples [low, high): current[r] is the bias plus value times weights of r's events.

    Row r = t B + b of current [T B, M] is step t of sample b, and its events are indptr[r] to indptr[r + 1] of
    `index` and `value`. `line` holds the weights in pieces, flat [M / PIECE, K, PIECE]; `begin` [M] is the bias. Both
    are padded to whole pieces; `current` is not.
    """
    inputs, seen = line.size // begin.size, current.shape[1]
    for m in range(0, begin.size, PIECE):
        for begin_of_step in range(0, current.shape[0], batch):
            for r in range(begin_of_step + low, begin_of_step + high):
                total = load_line(half(current), begin, m)
                total = sum_events(total, line, m * inputs, index, value, indptr[r], indptr[r + 1])
                if m + PIECE <= seen:
                    store(current, r, m, total)
                else:
                    store_part(current, r, m, seen - m, total)


@loop_backward
def scatter_pieces(indptr, index, value, adjoint, line, batch, low, high):
    """Add the weight gradients of samples [low, high) to `line`, from the adjoint [T n, M] of their currents.

    n is high - low. `line` holds the gradients in pieces, flat [M / PIECE, K, PIECE]. `indptr`, `index` and `value`
    are the events that arrived in the rows t B + b of all samples.
    """
    inputs, count = line.size // adjoint.shape[1], high - low
    for m in range(0, adjoint.shape[1], PIECE):
        for begin in range(adjoint.shape[0] - count, -1, -count):
            r = begin // count * batch + low
            for o in range(begin, begin + count):
                q = load(half(adjoint), adjoint, o, m)
                add_to_events(q, line, m * inputs, index, value, indptr[r], indptr[r + 1])
                r += 1
