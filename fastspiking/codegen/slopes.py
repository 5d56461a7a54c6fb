"""Compiled loops for surrogate derivatives that are given as formulas."""

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from torch import Tensor

from fastspiking.codegen.build import OPTIONS, compiled
from fastspiking.codegen.rules import RULES
from fastspiking.codegen.source import HEAD, OUTER_INDENT, Lines
from fastspiking.codegen.values import Value, as_number, needed
from fastspiking.formula import Node

SLOPE = """
def slope(x, out, numbers, low, high):
    {locals}
    for step in range(x.shape[0]):
        for sample in range(low, high):
            for m in range(x.shape[2]):
{body}
"""
X = Value("input", detail="x.0")
RENAMED = {"min": "minimum", "max": "maximum"}
Operand = Any


class Slope(NamedTuple):
    """Computes a surrogate derivative of known formula for all elements in one compiled loop."""

    loop: Callable[..., None]  # compiled from the formula's text
    numbers: np.ndarray  # constants of the formula, passed to the loop

    def of(self, x: Tensor, low: int = 0, high: int | None = None) -> Tensor:
        """Compute the derivative at distances x [T, B, ...] from threshold, for the samples [low, high) of B.

        Returns [T, high - low, ...]; None as `high` means B.
        """
        high = x.shape[1] if high is None else high
        out = torch.empty((x.shape[0], high - low, *x.shape[2:]), dtype=x.dtype)
        self.loop(x.detach().flatten(2).numpy(), out.flatten(2).numpy(), self.numbers, low, high)
        return out


def slope(tree: Node, dtype: torch.dtype) -> Slope:
    """Return the compiled loop of a derivative's formula, given as a syntax tree in x."""
    lines = Lines([], dtype, 0, {"x": "step, sample"})
    value = as_number(_value(tree))
    body = lines.lines(needed([value]))
    body.append(f"out[step, sample - low, m] = {lines.names[value]}")
    number = str(dtype).removeprefix("torch.")
    text = HEAD.format(dtype=number) + SLOPE.format(
        locals="; ".join(lines.locals) or "pass", body="\n".join(f"{OUTER_INDENT}{line}" for line in body)
    )
    return Slope(_loop(text, dtype), np.array([*lines.constants, 0.0], number))


def _value(tree: Node) -> Operand:
    """Return a formula as a value, by the same rules as a neuron's step; a constant is a plain number."""
    if not tree.arguments:
        return tree.value if tree.operation == "number" else X
    operands = [_value(argument) for argument in tree.arguments]
    return RULES[RENAMED.get(tree.operation, tree.operation)](*operands)


@functools.cache
def _loop(text: str, dtype: torch.dtype) -> Callable[..., None]:
    """Compile the loop of a source text for a float type, or load it from the cache; called once to compile it now."""

    def compile_all(module: ModuleType, cache: bool) -> Callable[..., None]:
        loop: Callable[..., None] = numba.njit(cache=cache, fastmath={"contract", "nsz", "arcp"}, **OPTIONS)(
            module.slope
        )
        rows = np.zeros((0, 0, 0), str(dtype).removeprefix("torch."))
        loop(rows, rows, np.zeros(1, rows.dtype), 0, 0)
        return loop

    return compiled(text, compile_all)
