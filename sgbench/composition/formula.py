"""Arithmetic of named numbers, by which a library's parameters become ours."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterable
from typing import Any

from sgbench.errors import InputError, require_number

OPERATIONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
FUNCTIONS: dict[str, Callable[[float], float]] = {"sqrt": math.sqrt}
CONSTANTS = {"pi": math.pi}


def formula_word(text: str, names: Iterable[str]) -> str:
    """Write the reference by which a YAML file computes a formula of neighbouring keys.

    >>> formula_word("alpha / 2", ["alpha", "beta"]), formula_word("alpha", ["alpha"])
    ("${formula:'alpha / 2',alpha,${.alpha}}", '${.alpha}')
    """
    if text.isidentifier():
        return f"${{.{text}}}"
    used = {node.id for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Name)}
    pairs = "".join(f",{name},${{.{name}}}" for name in names if name in used)
    return f"${{formula:'{text}'{pairs}}}"


def formula(text: str, *pairs: object) -> float:
    """Evaluate a formula of numbers; the result is a whole number where whole numbers alone give one.

    Args:
        text: sums, products, quotients and powers of names and numbers, `sqrt` and `pi`.
        pairs: a name and its number in turn.

    Raises:
        InputError: a value that is no number, or for which the formula has none.

    >>> formula("c * alpha / 2", "c", 0.4, "alpha", 5), formula("n - 1", "n", 2)
    (1.0, 1)
    """
    given = dict(zip(map(str, pairs[::2]), pairs[1::2], strict=True))
    for name, value in given.items():
        require_number(name, value)
    try:
        return _value(ast.parse(text, mode="eval").body, {**CONSTANTS, **given})
    except (ArithmeticError, ValueError) as error:
        inputs = ", ".join(f"{name}={value}" for name, value in given.items())
        raise InputError(f"{inputs}: {text} has no value ({error}); choose another") from error


def _value(node: ast.expr, given: dict[str, Any]) -> Any:
    if isinstance(node, ast.BinOp):
        return OPERATIONS[type(node.op)](_value(node.left, given), _value(node.right, given))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return FUNCTIONS[node.func.id](_value(node.args[0], given))
    if isinstance(node, ast.Name):
        return given[node.id]
    return ast.literal_eval(node)
