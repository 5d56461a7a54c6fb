"""Float32 functions exp, tanh and sigmoid that a loop can vectorise; exact to four units in the last place.

Polynomials are those of Cephes (Moshier 1989, Methods and Programs for Mathematical Functions), with fused products
and sums where the processor has them. None has a branch, since a loop with a branch is not vectorised.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

F = np.float32
LARGEST, SMALLEST = F(88.72283), F(-87.33654)  # beyond these e^x is infinite, or no normal number


@intrinsic
def _as_float(context: Any, bits: Any) -> Any:
    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic
def _as_bits(context: Any, number: Any) -> Any:
    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), generate


@numba.njit(cache=True, error_model="numpy", inline="never", fastmath={"contract"})
def exp(x: Any) -> Any:
    """Compute e^x in float32; 0 where it would be below the normal numbers."""
    inside = SMALLEST if x < SMALLEST else x
    inside = LARGEST if inside > LARGEST else inside
    power = np.floor(inside * F(1.44269504088896341) + F(0.5))
    rest = inside - power * F(0.693359375)
    rest = rest - power * F(-2.12194440e-4)
    y = F(1.9875691500e-4)
    y = y * rest + F(1.3981999507e-3)
    y = y * rest + F(8.3334519073e-3)
    y = y * rest + F(4.1665795894e-2)
    y = y * rest + F(1.6666665459e-1)
    y = y * rest + F(5.0000001201e-1)
    y = y * (rest * rest) + rest + F(1)
    # 2^power into the exponent of y, which no product could reach: 2^128 is no float32.
    y = _as_float(np.int32(_as_bits(y) + (np.int32(power) << np.int32(23))))  # type: ignore[call-arg]
    y = F(np.inf) if x > LARGEST else y
    return F(0) if x < SMALLEST else y


def exponential(x: Any) -> Any:
    """Compute e^x in compiled loops: in float32 by the vectorisable `exp` above, in float64 by NumPy's."""
    raise TypeError("it is called in compiled loops alone")


@overload(exponential, strict=False)  # annotations make signatures differ
def _exponential(x: Any) -> Any:
    return (lambda x: exp(x)) if x == types.float32 else (lambda x: np.exp(x))  # noqa: PLW0108 - numba reads them


@numba.njit(cache=True, error_model="numpy", fastmath={"contract"})
def tanh(x: Any) -> Any:
    """Compute the hyperbolic tangent in float32; near 0 by a polynomial, since a difference would lose digits."""
    size = abs(x)
    far = F(1) - F(2) / (exp(size + size) + F(1))
    square = x * x
    near = F(-5.70498872745e-3)
    near = near * square + F(2.06390887954e-2)
    near = near * square + F(-5.37397155531e-2)
    near = near * square + F(1.33314422036e-1)
    near = near * square + F(-3.33332819422e-1)
    near = near * square * x + x
    far = -far if x < F(0) else far
    return near if size < F(0.625) else far


@numba.njit(cache=True, error_model="numpy", fastmath={"contract"})
def sigmoid(x: Any) -> Any:
    """Compute 1 / (1 + e^-x) in float32."""
    return F(1) / (F(1) + exp(-x))
