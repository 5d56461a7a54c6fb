"""Evaluates formulas of named numbers, which convert a library's parameters to those of this package."""

import ast
import math
import operator
from collections.abc import Callable, Iterable
from typing import Any

from sgbench.errors import InputError, require_number, shortened

EXACT = 2.0**53
"""Below it floating point holds each whole number."""


def _power(base: float, exponent: float) -> float:
    result = math.pow(base, exponent)
    are_whole = isinstance(base, int) and isinstance(exponent, int) and result.is_integer()
    return int(result) if are_whole and abs(result) < EXACT else result


OPERATIONS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: _power,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
FUNCTIONS: dict[str, Callable[[float], float]] = {"sqrt": math.sqrt}
CONSTANTS = {"pi": math.pi}
LONGEST = 300
"""Largest number of characters, which bounds nodes and depth too."""
HAS = "a formula has + - * / **, brackets, numbers, names that are given a number, pi and sqrt"


def formula_reference(text: str, names: Iterable[str]) -> str:
    """Write the OmegaConf reference that computes a formula from keys beside it in a YAML file.

    >>> formula_reference("alpha / 2", ["alpha", "beta"]), formula_reference("alpha", ["alpha"])
    ("${formula:'alpha / 2',alpha,${.alpha}}", '${.alpha}')
    """
    if text.isidentifier():
        return f"${{.{text}}}"
    used = {node.id for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Name)}
    pairs = "".join(f",{name},${{.{name}}}" for name in names if name in used)
    return f"${{formula:'{text}'{pairs}}}"


def formula(text: str, *pairs: object) -> float:
    """Evaluate a formula; the result is an int if Python's arithmetic on the numbers gives one.

    >>> formula("c * alpha / 2", "c", 0.4, "alpha", 5), formula("n - 1", "n", 2)
    (1.0, 1)
    """
    if not isinstance(text, str) or len(text) > LONGEST:
        raise InputError(f"${{formula:...}}: a text of {LONGEST} characters at most is needed, in quotes")
    if len(pairs) % 2:
        raise InputError(f"${{formula:'{text}'}}: {pairs[-1]} has no number; write names and numbers in turn")
    numbers = dict(zip(map(str, pairs[::2]), pairs[1::2], strict=True))
    for name, value in numbers.items():
        require_number(name, value)
    try:
        result = _value(ast.parse(text, mode="eval").body, {**CONSTANTS, **numbers})
        if math.isfinite(result):
            return result
        reason = f"it is {result}"
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise InputError(f"${{formula:'{text}'}}: {HAS}") from error
    except (ArithmeticError, ValueError) as error:
        if isinstance(error, InputError):
            raise InputError(f"${{formula:'{text}'}}: {error}") from error
        reason = str(error)
    inputs = ", ".join(f"{name}={value}" for name, value in numbers.items())
    raise InputError(f"{inputs}: {text} has no value ({reason}); choose another".removeprefix(": "))


def _value(node: ast.expr, numbers: dict[str, Any]) -> Any:
    """Evaluate a node of the parsed formula; `numbers` maps names to values."""
    match node:
        case ast.BinOp(left, operation, right) if type(operation) in OPERATIONS:
            return OPERATIONS[type(operation)](_value(left, numbers), _value(right, numbers))
        case ast.UnaryOp(sign, operand) if type(sign) in OPERATIONS:
            return OPERATIONS[type(sign)](_value(operand, numbers))
        case ast.Call(ast.Name(name), [argument], []) if name in FUNCTIONS:
            return FUNCTIONS[name](_value(argument, numbers))
        case ast.Name(name) if name in numbers:
            return numbers[name]
        case ast.Constant(value) if type(value) in (int, float):
            return value
    raise InputError(f"{shortened(ast.unparse(node), 40)}: {HAS}")
