"""The gradient of a maximum over time: every step that reaches it gets an equal share."""

from __future__ import annotations

from sgbench.engine.kernels.codes import loop_backward


@loop_backward
def share(output, largest, given, shares, gradient):
    """Write the gradient of `output` [T, N] from that `given` for `largest` [N]; `shares` [N] is 0 at first.

    Where nothing reaches the maximum, which is then no number, there is no number to be given.
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
