r"""A readout in the loop of the layer before it: neither its current nor its adjoint is ever written to memory.

A readout v[t] = d v[t-1] + W s[t] + b whose neurons share one decay d is linear, and so is its adjoint
l[t] = d l[t+1] + g[t], with g[t] the gradient of v[t]. What reaches the spikes is therefore a trace, too:

.. math::
    W^T l[t] = d\, W^T l[t+1] + W^T g[t]

Where g[t] is that of the step behind, as for a loss of a sum over time, W^T g[t] is known; where it is 0, as in
most steps for a loss of the largest or the last potential, it is 0. Products are made for what is left.
"""

from __future__ import annotations

from sgbench.engine.kernels.codes import loop_backward, row, row_backward
from sgbench.engine.kernels.events import add_rows, unpack_row

FOUR = 4  # rows of weights that are added at a time; their number is a multiple


@row
def read_out(words, r, names, no_value, readout, current, b):
    """Advance the readout of sample b by the packed spikes of row r, and write y[r]; return how many these are."""
    columns, begin, v, decay, y = readout
    width = v.shape[1]
    for c in range(width):
        current[0, c] = begin[c]
    count = unpack_row(words, r, names, 0)
    add_rows(current, 0, columns, names, no_value, 0, count)
    for c in range(width):
        v[b, c] = decay * v[b, c] + current[0, c]
    for c in range(y.shape[1]):
        y[r, c] = v[b, c]
    return count


@loop_backward
def add_product(total, o, factors, weights):
    """Compute total[o] += factors weights, leaving out rows of weights that are multiplied by 0, four at a time."""
    for k in range(0, weights.shape[0], FOUR):
        a, b, c, d = factors[k], factors[k + 1], factors[k + 2], factors[k + 3]
        if a != 0 or b != 0 or c != 0 or d != 0:
            for m in range(total.shape[1]):
                total[o, m] += (a * weights[k, m] + b * weights[k + 1, m]) + (
                    c * weights[k + 2, m] + d * weights[k + 3, m]
                )


@row_backward
def renew_drive(given, q, behind, is_last, factors, weights, drive, o):
    """Set drive[o] = W^T g for the gradient given[q] of this step, if it is not that of the step behind."""
    classes = given.shape[1]
    differs = is_last
    if q != behind:
        for c in range(classes):
            differs |= given[q, c] != given[behind, c]
    if differs:
        for c in range(classes):
            factors[c] = given[q, c]
        for m in range(drive.shape[1]):
            drive[o, m] = 0
        add_product(drive, o, factors, weights)


@row_backward
def move_readout(given, q, decay, adjoint, o, d_bias):
    """Move the readout's own adjoint of sample o a step back, and add it to the gradient of its bias."""
    for c in range(given.shape[1]):
        adjoint[o, c] = decay * adjoint[o, c] + given[q, c]
        d_bias[c] += adjoint[o, c]


@loop_backward
def call_renew(given, q, behind, is_last, factors, weights, drive, o, decay, adjoint, d_bias):
    """Compute what `renew_drive` and `move_readout` do, as a call that is not inlined."""
    renew_drive(given, q, behind, is_last, factors, weights, drive, o)
    move_readout(given, q, decay, adjoint, o, d_bias)
