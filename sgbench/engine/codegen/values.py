"""What a step computes, as a graph: each value is one number of each neuron in each step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

TRUTHS = frozenset({"gt", "ge", "lt", "le", "eq", "ne", "and", "or", "not"})
"""Operations whose result is true or false."""
INPUTS = frozenset({"input", "row", "noise", "number"})
"""What is given: an array of all steps, a number of each neuron, noise, a number of the layer."""


class Untraceable(Exception):  # noqa: N818 - a reason, not a failure
    """Reports a step that cannot be written as loops; the text says why."""


@dataclass(frozen=True, eq=False, slots=True)
class Value:
    """Stands for a number and what it is made from; two values are the same only if they are one object."""

    operation: str  # what makes it, or one of `INPUTS`
    arguments: tuple[Value, ...] = ()  # what it is made from
    detail: str | int | float | None = None  # name of an input, place of a row or of noise, a number itself

    @property
    def is_truth(self) -> bool:
        """Return whether this value is a boolean."""
        return self.operation in TRUTHS


def number(value: float) -> Value:
    """Return a number that is the same for all neurons of the layer."""
    return Value("number", detail=float(value))


def as_number(value: Value | float) -> Value:
    """Convert a boolean value to 1 or 0; return numbers unchanged."""
    if not isinstance(value, Value):
        return number(value)
    return Value("where", (value, number(1), number(0))) if value.is_truth else value


def needed(roots: Iterable[Value]) -> list[Value]:
    """List all values that these are computed from, each after its arguments.

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
