"""Symbolic values, the nodes of a step's graph, and the parameters and noise among their inputs.

A value is one number of each sample and neuron in each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

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


@dataclass(frozen=True)
class GivenTensor:
    """Holds a tensor without an axis of samples that a step reads: a parameter, or a function of parameters.

    It becomes one or several rows, with one value of each neuron; several if it describes several gates, for
    example.
    """

    tensor: Tensor  # with its autograd history; a copy if it needs no gradient
    read: Tensor  # a copy of its values when the step first read it
    shape: torch.Size  # to which it is expanded, [parts, ...]
    first: int  # number of its first row among the rows of all such tensors
    parts: int  # its number of rows

    def expanded(self, features: torch.Size) -> Tensor:
        """Return the tensor expanded to one value for each neuron, `[parts, *features]`."""
        return without_samples(self.tensor, self.shape).expand(self.shape).reshape(self.parts, *features)


class GivenTensors:
    """Assigns row numbers to the tensors that a step reads; tensors with equal values share their rows.

    A tensor that needs a gradient has rows of its own. Its key is its `id`, which stays valid since the tensor is kept
    alive here.
    """

    def __init__(self) -> None:
        self.given: dict[tuple[object, torch.Size], GivenTensor] = {}
        self.rows = 0  # number of rows assigned so far

    def of(self, tensor: Tensor, shape: torch.Size, *, parts: int) -> GivenTensor:
        """Return the rows of a tensor that is expanded to `shape`; raise `Untraceable` if it cannot be expanded."""
        learns = tensor.requires_grad
        key: object = id(tensor) if learns else (tensor.dtype, tuple(tensor.shape), bytes_of(tensor))
        if (key, shape) not in self.given:
            try:
                without_samples(tensor, shape).expand(shape)
            except RuntimeError:
                raise Untraceable(
                    "its step takes a tensor that has samples and is no input (drawn or kept by itself)"
                ) from None
            read = tensor.detach().clone()
            self.given[key, shape] = GivenTensor(tensor if learns else read, read, shape, self.rows, parts)
            self.rows += parts
        return self.given[key, shape]

    def all(self) -> tuple[GivenTensor, ...]:
        """Return all rows; raise `Untraceable` if a tensor no longer has the values that the step has read."""
        for given in self.given.values():
            if given.tensor is not given.read and bytes_of(given.tensor) != bytes_of(given.read):
                raise Untraceable("its step changes a tensor in place that it has used")
        return tuple(self.given.values())


@dataclass(frozen=True)
class Noise:
    """Describes random numbers, one for each sample and neuron in each step, and torch operations on them alone."""

    stream: Tensor  # the state of the surrogate's generator, which they are drawn from
    draw: int  # number of this draw among those of a step
    # Operations on the drawn numbers, in order: function, further arguments and keyword arguments.
    calls: tuple[tuple[Callable[..., Tensor], tuple[Any, ...], dict[str, Any]], ...]
    is_backward: bool  # whether the backward pass draws them


def bytes_of(tensor: Tensor) -> bytes:
    """Return the memory content of a tensor, so that values can be compared bit by bit.

    >>> list(bytes_of(torch.tensor([1, 2], dtype=torch.uint8)))
    [1, 2]
    """
    return tensor.detach().reshape(-1).view(torch.uint8).cpu().numpy().tobytes()


def without_samples(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the tensor without leading axes of length 1 that `shape` does not have."""
    while tensor.dim() > len(shape) and tensor.shape[0] == 1:
        tensor = tensor[0]
    return tensor
