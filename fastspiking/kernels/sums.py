"""Sums over events and weights: adjoints times weights, gradients of weights, shares of maxima, and sums by pieces.

By pieces: where rows have many events, the weights are read, and their gradients added to, for 32 neurons at
a time, since these fit a core's cache. They are stored as one line: of the first 32 neurons [K, 32], of the next 32,
and so on. Sums are made in the order of `forward` and `backward`, so bits are the same. Letters are those of
`arguments`.
"""

import numpy as np

from fastspiking.kernels.codes import inner_backward, loop, loop_backward, row, row_backward
from fastspiking.kernels.vectors import (
    HALF,
    NARROW,
    WIDE,
    half,
    load,
    load_line,
    narrow,
    spread,
    store,
    store_line,
    store_part,
    wide,
)

# Samples that are computed at a time; with recurrent weights all of a block, so that each weight is loaded once.
TOGETHER = 8


@row_backward
def add_four_products(total, g, adjoints, first, pieces, begin, size, m):
    """Compute total[g + i, m:] += adjoints[first + i] @ pieces[begin:begin + size] for i in 0..3, one vector wide.

    The sums of four rows, a row of weights and a factor fit into the sixteen registers of a processor with AVX2.
    """
    kind = narrow(total)
    a, b = load(kind, total, g, m), load(kind, total, g + 1, m)
    c, d = load(kind, total, g + 2, m), load(kind, total, g + 3, m)
    for k in range(size):
        w = load(kind, pieces, begin + k, 0)
        a = a + spread(kind, adjoints[first, k]) * w
        b = b + spread(kind, adjoints[first + 1, k]) * w
        c = c + spread(kind, adjoints[first + 2, k]) * w
        d = d + spread(kind, adjoints[first + 3, k]) * w
    store(total, g, m, a)
    store(total, g + 1, m, b)
    store(total, g + 2, m, c)
    store(total, g + 3, m, d)


@row_backward
def add_one_product(total, g, adjoints, first, pieces, begin, size, m):
    """Compute total[g, m:] += adjoints[first] @ pieces[begin:begin + size], one vector wide."""
    kind = narrow(total)
    row = load(kind, total, g, m)
    for k in range(size):
        row = row + spread(kind, adjoints[first, k]) * load(kind, pieces, begin + k, 0)
    store(total, g, m, row)


@inner_backward
def add_products(total, group, adjoints, first, pieces):
    """Compute total[g] += adjoints[first + g] @ weights for the rows g in [0, group), not inlined.

    `pieces` holds the weights sixteen columns after sixteen columns, so that a piece fits into the nearest cache.
    """
    size, begin, fours = pieces.shape[0] // (total.shape[1] // NARROW), 0, group - group % 4
    for m in range(0, total.shape[1], NARROW):
        for g in range(0, fours, 4):
            add_four_products(total, g, adjoints, first + g, pieces, begin, size, m)
        for g in range(fours, group):
            add_one_product(total, g, adjoints, first + g, pieces, begin, size, m)
        begin += size


@row_backward
def add_to_rows(q, total, m, index, value, first, last):
    """Add value[e] * q, a vector, to total[index[e], m:] for the events e in [first, last); no values mean ones."""
    if value.size:
        for e in range(first, last):
            k = np.intp(index[e])
            store(total, k, m, load(q, total, k, m) + spread(q, value[e]) * q)
    else:
        for e in range(first, last):
            k = np.intp(index[e])
            store(total, k, m, load(q, total, k, m) + q)


@row_backward
def scatter(out, o, index, value, first, last, total):
    """Add value[e] * out[o] to total[index[e]] for the events e in [first, last); `value` of size 0 means ones."""
    size, m = out.shape[1], 0
    while m + WIDE <= size:
        add_to_rows(load(wide(out), out, o, m), total, m, index, value, first, last)
        m += WIDE
    while m + NARROW <= size:
        add_to_rows(load(narrow(out), out, o, m), total, m, index, value, first, last)
        m += NARROW
    if m < size:
        for e in range(first, last):
            k, p = np.intp(index[e]), value[e] if value.size else out.dtype.type(1)
            for c in range(m, size):
                total[k, c] += p * out[o, c]


@inner_backward
def call_scatter(out, o, index, value, first, last, total):
    """Add value[e] * out[o] to total[index[e]] for the events e in [first, last): `scatter`, not inlined."""
    scatter(out, o, index, value, first, last, total)


@row_backward
def gather_adjoints(total, group, reaching, first, place):
    """Set total[g], for g in [0, group), to the gradient of one sample's outputs, from outside and the next layer.

    `reaching` is an `ArrivingGradients`, whose `output` is read from row `first` on, and `next_adjoint` from row
    `place` on. The next layer's adjoint is multiplied by `next_weights`, unless that was done already.
    """
    total[:] = total.dtype.type(0)
    if reaching.output.size:
        for g in range(group):
            for m in range(reaching.output.shape[1]):
                total[g, m] = reaching.output[first + g, m]
    if reaching.next_adjoint.size and reaching.next_weights.size:
        add_products(total, group, reaching.next_adjoint, place, reaching.next_weights)
    elif reaching.next_adjoint.size:
        for g in range(group):
            for m in range(total.shape[1]):
                total[g, m] += reaching.next_adjoint[place + g, m]


@inner_backward
def call_gather(total, group, reaching, first, place):
    """Set total[g] to the gradient of each sample's outputs: `gather_adjoints`, not inlined."""
    gather_adjoints(total, group, reaching, first, place)


@loop_backward
def share_among_peaks(output, largest, given, shares, gradient):
    """Write to gradient [T, N] that of output [T, N], from the gradient `given` [N] of its maximum `largest` [N].

    Every step that attains the maximum over time gets an equal share. Where the maximum is NaN no step attains it,
    and the gradient is NaN. shares [N] is scratch memory, 0 at first.
    """
    one = shares.dtype.type(1)
    zero = one - one
    for t in range(output.shape[0]):
        for n in range(shares.size):
            shares[n] += one if output[t, n] == largest[n] else zero
    for n in range(shares.size):
        shares[n] = given[n] / shares[n]
    for t in range(output.shape[0]):
        for n in range(shares.size):
            gradient[t, n] = (one if output[t, n] == largest[n] else zero) * shares[n]


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
