"""What written Triton programs use of Triton's language, in NumPy: programs run where Triton is not installed.

Types and shapes are NumPy's, so that Triton alone tells whether a program is one of its own: `test_triton.py` asks
its interpreter and its compiler where it is there. An address outside of an array is an error here.
"""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import torch

from fastspiking.codegen.build import module_of


class Pointer:
    """An address in an array, or a tile of such."""

    def __init__(self, memory: np.ndarray, place: Any) -> None:
        self.memory, self.place = memory, place

    def __add__(self, other: Any) -> Pointer:
        return Pointer(self.memory, self.place + other)

    def __sub__(self, other: Any) -> Pointer:
        return Pointer(self.memory, self.place - other)

    def inside(self, mask: Any) -> np.ndarray:
        """The places that a mask lets through, those behind it as 0."""
        place, mask = np.broadcast_arrays(self.place, True if mask is None else mask)
        assert not mask.any() or 0 <= place[mask].min() <= place[mask].max() < self.memory.size
        return np.where(mask, place, 0)


def pointer_to(tensor: torch.Tensor) -> Pointer:
    """The first number of a tensor, in all of the memory that it is a part of."""
    storage = tensor.untyped_storage()
    whole = tensor.new_empty(0).set_(storage, 0, (storage.nbytes() // tensor.element_size(),))
    return Pointer(whole.numpy(), tensor.storage_offset())


class Jitted:
    """A function of a written source, and a program where it is given a grid."""

    def __init__(self, function: Callable[..., Any], language: ModuleType) -> None:
        self.function, self.language = function, language
        self.__call__ = function

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    def __getitem__(self, grid: tuple[int, int]) -> Callable[..., None]:
        def start(*arguments: Any, num_warps: int, num_stages: int, enable_fp_fusion: bool) -> None:
            assert num_warps * num_stages > 0
            assert enable_fp_fusion == (self.function.__name__ == "backward")
            given = [pointer_to(each) if isinstance(each, torch.Tensor) else each for each in arguments]
            for place in itertools.product(*map(range, grid)):
                self.language.program_id = place.__getitem__
                with np.errstate(all="ignore"):
                    self.function(*given)

        return start


def load(pointer: Pointer, mask: Any = None, other: float = 0.0) -> Any:
    """Numbers at addresses, `other` behind the mask."""
    found = pointer.memory[pointer.inside(mask)]
    return found if mask is None else np.where(mask, found, found.dtype.type(other))


def store(pointer: Pointer, value: Any, mask: Any = None) -> None:
    """Put numbers to the addresses that the mask lets through."""
    place, mask, value = np.broadcast_arrays(pointer.inside(mask), True if mask is None else mask, value)
    pointer.memory[place[mask]] = value[mask]


def dot(a: np.ndarray, b: np.ndarray, *, input_precision: str, out_dtype: type) -> np.ndarray:
    """A product of two tiles."""
    assert (input_precision, a.dtype.type, b.dtype.type) == ("ieee", out_dtype, out_dtype)
    assert all(size >= 16 for size in (*a.shape, *b.shape)), "no product of Triton's is so small"
    return a @ b


def language() -> ModuleType:
    """A module with the part of `triton.language` that written programs use."""
    made = ModuleType("triton.language")
    made.__spec__ = ModuleSpec("triton.language", None)
    names = ("float32", "float64", "exp", "log", "log2", "sin", "cos", "floor", "ceil", "abs", "sqrt")
    for name in (*names, "zeros", "full", "arange", "where", "broadcast_to", "sum"):
        setattr(made, name, getattr(np, name))
    made.load, made.store, made.dot, made.constexpr = load, store, dot, int
    made.div_rn, made.sqrt_rn = np.divide, np.sqrt
    made.erf = lambda x: torch.erf(torch.from_numpy(x)).numpy()
    return made


@contextmanager
def tiles_in_numpy() -> Iterator[None]:
    """Let the engine triton run what it has written here."""
    importlib.import_module("torch._dynamo")  # it asks for the real Triton while it is imported
    tl, triton = language(), ModuleType("triton")
    triton.__spec__ = ModuleSpec("triton", None)
    triton.language, triton.jit = tl, lambda function: Jitted(function, tl)
    modules = {"triton": triton, "triton.language": tl}
    with mock.patch.dict(sys.modules, modules), mock.patch.dict("os.environ", TRITON_INTERPRET="1"):
        module_of.cache_clear()
        try:
            yield
        finally:
            module_of.cache_clear()
