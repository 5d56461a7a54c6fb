"""Rules of torch's elementwise operations: each builds the value of a result from operands, in torch's order.

Also the names, arguments and result shapes of operations, found without computing them.
"""

import functools
from collections.abc import Callable, Container, Sequence
from typing import Any

import torch
from torch import Tensor

from fastspiking.codegen.values import Untraceable, Value, as_number, number


def broadcast_shape(tensors: Sequence[Tensor]) -> torch.Size:
    """Return the shape that these tensors broadcast to; torch has refused those that do not fit."""
    shapes = [tensor.shape for tensor in tensors]
    if len(shapes) == 1 or all(shape == shapes[0] for shape in shapes):
        return shapes[0]
    longest = max(map(len, shapes))
    padded = [(1,) * (longest - len(shape)) + tuple(shape) for shape in shapes]
    return torch.Size(max(sizes) if min(sizes) else 0 for sizes in zip(*padded, strict=True))


def summed_shape(shape: torch.Size, axes: Container[int], *, keeps: bool) -> torch.Size:
    """Return the shape of a tensor after a sum over `axes`; `keeps` leaves each of these with length 1.

    >>> summed_shape(torch.Size((2, 3, 4)), {1}, keeps=False)
    torch.Size([2, 4])
    """
    sizes = ((1 if axis in axes else size) for axis, size in enumerate(shape) if keeps or axis not in axes)
    return torch.Size(sizes)


@functools.cache
def operation_name(func: Any) -> tuple[str, str]:
    """Return an operation's name, such as `add_`, and that of its form that is not in place, such as `add`."""
    name = func.overloadpacket._qualified_op_name.removeprefix("aten::")
    return name, name if name.startswith("_") else name.removesuffix("_")


def flat(args: Sequence[Any]) -> list[Any]:
    """Return arguments with the elements of lists and tuples among them in place of these, one level deep."""
    return [inner for argument in args for inner in (argument if isinstance(argument, list | tuple) else (argument,))]


def shape_only(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")


Operand = Value | float
Rule = Callable[..., Value]


def _of_numbers(operation: str) -> Rule:
    """Make a rule that applies an operation to numbers; truth values become 0 and 1."""

    def rule(*arguments: Operand) -> Value:
        return Value(operation, tuple(as_number(argument) for argument in arguments))

    return rule


_is_above, _is_up_to = _of_numbers("gt"), _of_numbers("le")


def _add(a: Operand, b: Operand, *, alpha: float = 1) -> Value:
    return Value("add", (as_number(a), _times(b, alpha)))


def _sub(a: Operand, b: Operand, *, alpha: float = 1) -> Value:
    return Value("sub", (as_number(a), _times(b, alpha)))


def _times(value: Operand, factor: float) -> Value:
    return as_number(value) if factor == 1 else Value("mul", (number(factor), as_number(value)))


def _mul(a: Operand, b: Operand) -> Value:
    if isinstance(a, Value) and isinstance(b, Value) and a.is_truth and b.is_truth:
        return Value("and", (a, b))
    return Value("mul", (as_number(a), as_number(b)))


def _div(a: Operand, b: Operand, *, rounding_mode: str | None = None) -> Value:
    if rounding_mode is not None:
        raise Untraceable(f"its step divides with rounding_mode={rounding_mode}")
    return Value("div", (as_number(a), as_number(b)))


def _truth(value: Operand) -> Value:
    """Return a value as a truth value: a number is true unless it is 0."""
    if isinstance(value, Value) and value.is_truth:
        return value
    return Value("ne", (as_number(value), number(0)))


def _logical(operation: str) -> Rule:
    """Make a rule that applies an operation to truth values."""

    def rule(*arguments: Operand) -> Value:
        return Value(operation, tuple(_truth(argument) for argument in arguments))

    return rule


def _where(condition: Operand, a: Operand, b: Operand) -> Value:
    return Value("where", (_truth(condition), as_number(a), as_number(b)))


def _clamp(x: Operand, low: Operand | None = None, high: Operand | None = None, **named: Operand) -> Value:
    clamped = as_number(x)
    low, high = named.get("min", low), named.get("max", high)
    if low is not None:
        clamped = Value("maximum", (clamped, as_number(low)))
    return clamped if high is None else Value("minimum", (clamped, as_number(high)))


def _hardtanh_backward(grad: Operand, x: Operand, low: float, high: float) -> Value:
    outside = Value("or", (_is_up_to(x, low), _of_numbers("ge")(x, high)))
    return _where(outside, 0.0, grad)


def _pow(x: Operand, exponent: Operand) -> Value:
    """Build a power; torch computes those of some constant exponents by products, quotients and roots."""
    base = as_number(x)
    if isinstance(exponent, Value) and exponent.operation == "number":
        exponent = float(exponent.detail or 0.0)
    if isinstance(exponent, Value):
        return Value("pow", (base, as_number(exponent)))
    square = Value("mul", (base, base))
    known = {
        0.0: number(1),
        0.5: Value("sqrt", (base,)),
        1.0: base,
        2.0: square,
        3.0: Value("mul", (square, base)),
        -0.5: Value("div", (number(1), Value("sqrt", (base,)))),
        -1.0: Value("div", (number(1), base)),
        -2.0: Value("div", (number(1), square)),
    }
    return known.get(float(exponent)) or Value("pow", (base, number(exponent)))


def _sign(x: Operand) -> Value:
    above, below = _is_above(x, 0.0), _of_numbers("lt")(x, 0.0)
    return _where(above, 1.0, _where(below, -1.0, 0.0))


def _heaviside(x: Operand, at_zero: Operand) -> Value:
    below = _where(_of_numbers("eq")(x, 0.0), at_zero, 0.0)
    return _where(_is_above(x, 0.0), 1.0, below)


def _softplus(x: Operand, beta: float = 1, threshold: float = 20) -> Value:
    scaled = _mul(x, beta)
    curve = _div(_of_numbers("log1p")(_of_numbers("exp")(scaled)), beta)
    return _where(_is_above(scaled, threshold), x, curve)


def _softplus_backward(grad: Operand, x: Operand, beta: float, threshold: float) -> Value:
    scaled = _mul(x, beta)
    e = _of_numbers("exp")(scaled)
    return _where(_is_above(scaled, threshold), grad, _div(_mul(grad, e), _add(e, 1.0)))


PLAIN = (
    "neg", "abs", "exp", "expm1", "log", "log1p", "log2", "sqrt", "sin", "cos", "tan", "atan", "sinh", "cosh",
    "tanh", "sigmoid", "erf", "floor", "ceil", "trunc", "round", "minimum", "maximum", "gt", "ge", "lt", "le", "eq",
    "ne",
)  # fmt: skip
"""Torch operations with the same name and meaning as an operation of values."""

RULES: dict[str, Rule] = {name: _of_numbers(name) for name in PLAIN} | {
    "add": _add,
    "sub": _sub,
    "rsub": lambda a, b, *, alpha=1: _sub(b, a, alpha=alpha),
    "mul": _mul,
    "div": _div,
    "true_divide": _div,
    "pow": _pow,
    "square": lambda x: _pow(x, 2.0),
    "reciprocal": lambda x: _div(1.0, x),
    "rsqrt": lambda x: _pow(x, -0.5),
    "arctan": _of_numbers("atan"),
    "absolute": _of_numbers("abs"),
    "logical_and": _logical("and"),
    "logical_or": _logical("or"),
    "logical_not": _logical("not"),
    "logical_xor": lambda a, b: Value("ne", (as_number(_truth(a)), as_number(_truth(b)))),
    "bitwise_and": _logical("and"),
    "bitwise_or": _logical("or"),
    "bitwise_not": _logical("not"),
    "where": _where,
    "masked_fill": lambda x, mask, value: _where(mask, value, x),
    "clamp": _clamp,
    "clamp_min": _clamp,
    "clamp_max": lambda x, high: _clamp(x, None, high),
    "relu": lambda x: _clamp(x, 0.0),
    "hardtanh": _clamp,
    "leaky_relu": lambda x, slope=0.01: _where(_is_above(x, 0.0), x, _mul(x, slope)),
    "leaky_relu_backward": lambda grad, x, slope, _: _where(_is_above(x, 0.0), grad, _mul(grad, slope)),
    "threshold_backward": lambda grad, x, threshold: _where(_is_up_to(x, threshold), 0.0, grad),
    "hardtanh_backward": _hardtanh_backward,
    "sign": _sign,
    "sgn": _sign,
    "heaviside": _heaviside,
    "sigmoid_backward": lambda grad, y: _mul(_mul(grad, _sub(1.0, y)), y),
    "tanh_backward": lambda grad, y: _mul(grad, _sub(1.0, _mul(y, y))),
    "lerp": lambda a, b, weight: _add(a, _mul(weight, _sub(b, a))),
    "addcmul": lambda x, a, b, *, value=1: _add(x, _mul(a if value == 1 else _mul(value, a), b)),
    "addcdiv": lambda x, a, b, *, value=1: _add(x, _div(a if value == 1 else _mul(value, a), b)),
    "softplus": _softplus,
    "softplus_backward": _softplus_backward,
    "isnan": lambda x: _of_numbers("ne")(x, x),
    "copy": lambda _, x, *__: as_number(x),
    "positive": as_number,
    "zero": lambda _: number(0),
    "fill": lambda _, value: as_number(value),
    "empty_like": lambda *_, **__: number(0),
    "zeros_like": lambda *_, **__: number(0),
    "ones_like": lambda *_, **__: number(1),
    "full_like": lambda _, value, **__: as_number(value),
}
"""Maps the name of a torch operation to its rule; one in place, such as `add_`, has that of `add`."""
