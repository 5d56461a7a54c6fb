"""Snapshots of a module and all that it refers to, to notice later changes and to undo them."""

import functools
import operator
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fastspiking.codegen.values import bytes_of

ATOMS = {bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.Size}
"""Immutable types, which are compared by identity."""
CODE = (FunctionType, MethodType, BuiltinFunctionType, functools.partial, ModuleType)
"""Types whose objects may depend on data that a snapshot cannot reach: functions, methods and modules."""
COPIED: dict[type, Callable[[Any], Any]] = {list: list, dict: dict, OrderedDict: dict, set: set}
PLAIN = {"torch", "abc", "builtins", "collections", "enum", "types", "typing"}
"""Packages whose classes are not copied, since nobody changes them."""
KNOWN = {"fastspiking", "sgbench"}
"""Packages whose steps read nothing but what a snapshot holds."""
OF_MODULES = ("_parameters", "_buffers", "_modules")


class Content(NamedTuple):
    """Holds a copy of a dictionary, a list or a set."""

    name: str  # of the attribute that holds it; empty for the attributes of an object themselves
    of: Any  # the container
    copy: Any  # its content when the snapshot was taken

    def is_same(self) -> bool:
        """Return whether the container holds the same objects as before; the members of a set are compared by value."""
        if not (self.of or self.copy):
            return True
        if len(self.of) != len(self.copy):
            return False
        if isinstance(self.copy, set):
            return bool(self.of == self.copy)
        if isinstance(self.copy, list):
            return all(map(operator.is_, self.of, self.copy))
        values = self.of.values(), self.copy.values()
        return all(map(operator.is_, *values)) and list(self.of) == list(self.copy)

    def put_back(self) -> Iterator[str]:
        """Restore the content, and yield the names of the attributes that had changed."""
        if self.is_same():
            return
        has_names = not self.name or self.name in OF_MODULES
        yield from _names(self.of, self.copy) if has_names else [self.name]
        self.of.clear()
        if isinstance(self.copy, list):
            self.of.extend(self.copy)
        else:
            self.of.update(self.copy)


class ClassContent(NamedTuple):
    """Holds a copy of the attributes of a class, its functions among them."""

    of: type
    copy: dict[str, Any]

    def is_same(self) -> bool:
        return Content("", vars(self.of), self.copy).is_same()

    def put_back(self) -> Iterator[str]:
        """Restore the attributes of the class, and yield the names of those that had changed."""
        if self.is_same():
            return
        for name in _names(dict(vars(self.of)), self.copy):
            if name in self.copy:
                setattr(self.of, name, self.copy[name])
            else:
                delattr(self.of, name)
            yield name


class Numbers(NamedTuple):
    """Holds a copy of a tensor's values."""

    name: str  # of the attribute that holds it
    of: Tensor
    copy: Tensor
    learns: bool  # whether it required a gradient

    def is_same(self) -> bool:
        kinds = self.of.shape == self.copy.shape and self.of.dtype == self.copy.dtype
        return kinds and self.learns == self.of.requires_grad and bytes_of(self.of) == bytes_of(self.copy)

    def put_back(self) -> Iterator[str]:
        """Restore the tensor if it was changed, and yield its name then."""
        if not self.is_same():
            self.of.detach().copy_(self.copy)
            yield self.name


class Snapshot:
    """Holds copies of a module's state and of all that it refers to, and references to all of these objects.

    >>> linear = nn.Linear(2, 1)
    >>> before = Snapshot(linear)
    >>> _ = nn.init.zeros_(linear.bias)
    >>> before.is_same(), before.put_back(), before.is_same()
    (False, ['bias'], True)
    """

    def __init__(self, module: nn.Module) -> None:
        self.held: list[Content | ClassContent | Numbers] = []
        self.streams: list[torch.Generator] = []
        self.is_ours = True  # whether all code is known; a foreign step may read what is not held here
        seen: dict[int, object] = {}
        waiting: list[tuple[str, Any]] = [("", module)]  # names of attributes, and their values
        while waiting:
            name, value = waiting.pop()
            if id(value) not in seen:  # `seen` keeps the values alive, so that ids stay unique
                seen[id(value)] = value
                waiting += (pair for pair in self._add(name, value) if type(pair[1]) not in ATOMS)

    def is_same(self) -> bool:
        return all(one.is_same() for one in self.held)

    def put_back(self) -> list[str]:
        """Restore all that has changed; return the names of the changed attributes."""
        return [name for one in self.held for name in one.put_back()]

    def _add(self, name: str, value: Any) -> Iterable[tuple[str, Any]]:
        """Store a copy of one value in `held`; return what it refers to, as names and values to be added next.

        `is_ours` becomes false for a value that can hide more than is copied: code, or an object with slots.
        """
        kind = type(value)
        if isinstance(value, Tensor):
            self.held.append(Numbers(name, value, value.detach().clone(), value.requires_grad))
        elif kind in COPIED:
            self.held.append(Content(name, value, COPIED[kind](value)))
            return value.items() if isinstance(value, dict) else ((name, each) for each in value)
        elif isinstance(value, tuple | frozenset):
            return ((name, each) for each in value)
        elif isinstance(value, type):
            self._add_class(value)
        elif kind is torch.Generator:
            self.streams.append(value)
        elif isinstance(value, CODE):
            self.is_ours = False
        else:
            self.is_ours &= not any(vars(base).get("__slots__") for base in kind.__mro__)
            inner = getattr(value, "__dict__", {})
            self.held.append(Content("", inner, dict(inner)))
            return [*inner.items(), *((base.__name__, base) for base in kind.__mro__)]
        return ()

    def _add_class(self, kind: type) -> None:
        """Copy the attributes of a class, unless it is torch's or Python's, which nobody changes."""
        package = kind.__module__.partition(".")[0]
        if package not in PLAIN:
            self.is_ours &= package in KNOWN
            self.held.append(ClassContent(kind, dict(vars(kind))))


def _names(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Return the keys under which two dictionaries hold different objects, or which only one has."""
    nothing = object()
    return [name for name in {**one, **other} if one.get(name, nothing) is not other.get(name, nothing)]
