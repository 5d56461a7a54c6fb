"""Surrogate derivatives of the shapes that the loops know by name: atan, fast sigmoid and triangle."""

from fastspiking.kernels.codes import ATAN, FAST_SIGMOID, row_backward
from fastspiking.kernels.vectors import spread, where_above


@row_backward
def slope_lanes(x, curve):
    """Return the surrogate derivative at a vector x of distances from threshold; `curve` is of a known shape."""
    one = spread(x, 1.0)
    zero = one - one
    z = spread(x, curve.steepness) * x
    if curve.shape == ATAN:
        slope = spread(x, curve.height) / (one + z * z)
    elif curve.shape == FAST_SIGMOID:
        z = one + where_above(z, zero, z, zero - z)
        slope = spread(x, curve.height) / (z * z)
    else:
        z = one - where_above(z, zero, z, zero - z)
        slope = spread(x, curve.height) * where_above(zero, z, zero, z)
    return slope


@row_backward
def slope_row(x, r, curve, place, out):
    """Write to out [M] the surrogate derivative at x[r], the distances from threshold.

    `curve` is a `SlopeSource`; where it holds the derivative itself, that is row `place` of its psi.
    """
    size, one = x.shape[1], x.dtype.type(1)
    _, steepness, height, psi = curve
    if psi.size:
        for m in range(size):
            out[m] = psi[place, m]
    elif curve.shape == ATAN:
        for m in range(size):
            z = steepness * x[r, m]
            out[m] = height / (one + z * z)
    elif curve.shape == FAST_SIGMOID:
        for m in range(size):
            z = one + abs(steepness * x[r, m])
            out[m] = height / (z * z)
    else:
        for m in range(size):
            out[m] = height * max(one - abs(steepness * x[r, m]), one - one)
