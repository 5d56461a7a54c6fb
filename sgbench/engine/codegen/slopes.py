"""A compiled loop for a surrogate's derivative that is written as a formula."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from torch import Tensor

from sgbench.engine.codegen.build import NOTE, OPTIONS, compiled
from sgbench.engine.codegen.rules import RULES
from sgbench.engine.codegen.source import HEAD, OUTER_INDENT, Lines
from sgbench.engine.codegen.values import Value, as_number, needed
from sgbench.records.formula import Node

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
    """Computes a derivative of known formula for all elements in one loop."""

    loop: Callable[..., None]  # of the formula's text
    numbers: np.ndarray  # that are handed to it

    def of(self, x: Tensor, low: int = 0, high: int | None = None) -> Tensor:
        """Compute the derivative of samples [low, high) at distances x [T, B, ...] from threshold."""
        high = x.shape[1] if high is None else high
        out = torch.empty((x.shape[0], high - low, *x.shape[2:]), dtype=x.dtype)
        self.loop(x.detach().flatten(2).numpy(), out.flatten(2).numpy(), self.numbers, low, high)
        return out


def slope(tree: Node, dtype: torch.dtype) -> Slope:
    """Return the loop of a derivative's formula; loops are found by their text, and numbers are handed to them."""
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
    """Return a formula's result as a value of a loop; numbers stay numbers, as torch's rules know them."""
    if not tree.arguments:
        return tree.value if tree.operation == "number" else X
    done = [_value(argument) for argument in tree.arguments]
    return RULES[RENAMED.get(tree.operation, tree.operation)](*done)


@functools.cache
def _loop(text: str, dtype: torch.dtype) -> Callable[..., None]:
    """Compile the loop of a text, or take it from the cache on disk."""

    def compile_all(module: ModuleType, cache: bool) -> Callable[..., None]:
        loop: Callable[..., None] = numba.njit(cache=cache, fastmath={"contract", "nsz", "arcp"}, **OPTIONS)(
            module.slope
        )
        rows = np.zeros((0, 0, 0), str(dtype).removeprefix("torch."))
        loop(rows, rows, np.zeros(1, rows.dtype), 0, 0)
        return loop

    return compiled(text, NOTE % dtype, compile_all)
