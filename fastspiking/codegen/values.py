"""Symbolic values, the nodes of a step's graph: each is one number of each sample and neuron in each step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

TRUTHS = frozenset({"gt", "ge", "lt", "le", "eq", "ne", "and", "or", "not"})
"""Operations whose result is true or false."""
INPUTS = frozenset({"input", "row", "noise", "number"})
"""Values without arguments: an array over all steps, one number of each neuron, noise, one number of the layer."""


class Untraceable(Exception):  # noqa: N818 - a reason, not a failure
    """Reports a step that cannot be written as loops; the text says why."""


@dataclass(frozen=True, eq=False, slots=True)
class Value:
    """Stands for the result of an operation on other values; two values are equal only if they are one object."""

    operation: str  # its name, or one of `INPUTS`
    arguments: tuple[Value, ...] = ()
    # The name of an input, the number of a row or of a noise, or a number itself; None for computed values.
    detail: str | int | float | None = None

    @property
    def is_truth(self) -> bool:
        return self.operation in TRUTHS


def number(value: float) -> Value:
    """Return the value of a constant, the same for all neurons of the layer."""
    return Value("number", detail=float(value))


def as_number(value: Value | float) -> Value:
    """Return a value that is a number: a boolean becomes 1 or 0, a Python number a constant."""
    if not isinstance(value, Value):
        return number(value)
    return Value("where", (value, number(1), number(0))) if value.is_truth else value


def needed(roots: Iterable[Value]) -> list[Value]:
    """Return `roots` and all values that they are computed from, each once and after its arguments.

    >>> x = Value("input", detail="x")
    >>> square = Value("mul", (x, x))
    >>> [value.operation for value in needed([Value("add", (square, x))])]
    ['input', 'mul', 'add']
    """
    order: dict[Value, None] = {}
    waiting = list(reversed(list(roots)))
    while waiting:
        value = waiting.pop()
        if value in order:
            continue
        missing = [argument for argument in value.arguments if argument not in order]
        if missing:
            waiting.append(value)
            waiting.extend(reversed(missing))
        else:
            order[value] = None
    return list(order)
