"""Evaluates formulas of named numbers, which convert a library's parameters to those of this package."""

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


def formula_reference(text: str, names: Iterable[str]) -> str:
    """Write the OmegaConf reference that computes a formula from keys beside it in a YAML file.

    Args:
        text: formula, or the name of one key.
        names: keys that the formula may use.

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

    Args:
        text: sums, products, quotients and powers of names and numbers, `sqrt` and `pi`.
        pairs: names and their numbers, alternating.

    Raises:
        InputError: a value is not a number, or the formula has no result, as on a division by zero.

    >>> formula("c * alpha / 2", "c", 0.4, "alpha", 5), formula("n - 1", "n", 2)
    (1.0, 1)
    """
    numbers = dict(zip(map(str, pairs[::2]), pairs[1::2], strict=True))
    for name, value in numbers.items():
        require_number(name, value)
    try:
        return _value(ast.parse(text, mode="eval").body, {**CONSTANTS, **numbers})
    except (ArithmeticError, ValueError) as error:
        inputs = ", ".join(f"{name}={value}" for name, value in numbers.items())
        raise InputError(f"{inputs}: {text} has no value ({error}); choose another") from error


def _value(node: ast.expr, numbers: dict[str, Any]) -> Any:
    """Evaluate a node of the parsed formula; `numbers` maps names to values."""
    if isinstance(node, ast.BinOp):
        return OPERATIONS[type(node.op)](_value(node.left, numbers), _value(node.right, numbers))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return FUNCTIONS[node.func.id](_value(node.args[0], numbers))
    if isinstance(node, ast.Name):
        return numbers[node.id]
    return ast.literal_eval(node)
