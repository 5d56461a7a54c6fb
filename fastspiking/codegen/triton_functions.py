"""Source of mathematical functions that Triton's language lacks, in terms of those that it has.

Each is exact to a few units in the last place in both precisions. `expm1` and `log1p` follow Kahan (Higham 2002,
Accuracy and Stability of Numerical Algorithms, section 1.14.1): errors of a rounded 1 + x cancel in a quotient.
"""

_WRITTEN = """
def sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))

def expm1(x):
    e = tl.exp(x)
    curve = (e - 1.0) * x / tl.log(e)
    return tl.where(e == 1.0, x, tl.where((e - 1.0 == e) | (e == 0.0), e - 1.0, curve))

def log1p(x):
    above = 1.0 + x
    curve = tl.log(above) * x / (above - 1.0)
    return tl.where(above == 1.0, x, tl.where(above - 1.0 == above, tl.log(above), curve))

def tanh(x):
    e = expm1(-2.0 * tl.abs(x))
    size = -e / (2.0 + e)
    return tl.where(x < 0.0, -size, size)

def sinh(x):
    e = expm1(tl.abs(x))
    size = tl.where(e == e + 1.0, e * 0.5, (e + e / (e + 1.0)) * 0.5)
    return tl.where(x < 0.0, -size, size)

def cosh(x):
    e = tl.exp(tl.abs(x))
    return e * 0.5 + 0.5 / e

def tan(x):
    return tl.sin(x) / tl.cos(x)

def trunc(x):
    return tl.where(x < 0.0, tl.ceil(x), tl.floor(x))

def round(x):
    low = tl.floor(x)
    past = x - low
    is_odd = low * 0.5 != tl.floor(low * 0.5)
    return tl.where((past > 0.5) | ((past == 0.5) & is_odd), low + 1.0, low)

def minimum(a, b):
    return tl.where((a < b) | (a != a), a, b)

def maximum(a, b):
    return tl.where((a > b) | (a != a), a, b)
"""
FUNCTIONS = {
    text.split("(")[0].removeprefix("def "): f"\n\n@triton.jit\n{text}\n" for text in _WRITTEN.strip().split("\n\n")
}
"""Maps the name of an operation to the source of its function; a function comes after those that it calls."""
