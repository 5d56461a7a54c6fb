"""Names, arguments and result shapes of torch operations, found without computing them."""

import functools
from collections.abc import Container, Sequence
from typing import Any

import torch
from torch import Tensor


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
