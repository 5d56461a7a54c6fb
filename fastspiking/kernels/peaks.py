"""The gradient of a maximum over time: every step that attains the maximum gets an equal share."""

from fastspiking.kernels.codes import loop_backward


@loop_backward
def share(output, largest, given, shares, gradient):
    """Write to gradient [T, N] that of output [T, N], from the gradient `given` [N] of its maximum `largest` [N].

    shares [N] is scratch memory, 0 at first. Where the maximum is NaN no step attains it, and the gradient is NaN.
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
