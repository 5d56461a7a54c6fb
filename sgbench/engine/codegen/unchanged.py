"""What a step must not do: keep something on itself, or draw numbers that the loops cannot draw again."""

from __future__ import annotations

import operator
import random
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sgbench.engine.codegen.given import bytes_of
from sgbench.engine.codegen.values import Untraceable

WITHOUT_STATE = (type, FunctionType, BuiltinFunctionType, MethodType, ModuleType, Tensor, nn.Module)
"""Attributes that are not looked into for what they hold; a module's modules and tensors are, by themselves."""
COPIED: dict[type, Callable[[Any], Any]] = {list: list, dict: dict, OrderedDict: dict, set: set}
PLAIN = {*COPIED, bool, int, float, str, tuple, type(None)}
OURS = ("sgbench", "torch")


@contextmanager
def unchanged(module: nn.Module) -> Iterator[None]:
    """Raise an error if a step keeps something on its module or draws numbers, and undo it.

    Raises:
        Untraceable: an attribute or a tensor of the module or of a part of it was changed, or a generator moved.
    """
    owners = _owners(module)
    before = [_Held.of(owner) for owner in owners]
    tensors = [
        (name, tensor, tensor.detach().clone())
        for name, tensor in (*module.named_parameters(), *module.named_buffers())
    ]
    draws = _Draws.of(owners)
    try:
        yield
    finally:
        changed = [name for held in before for name in held.put_back()]
        for name, tensor, value in tensors:
            if bytes_of(tensor) != bytes_of(value):
                changed.append(name)
                tensor.detach().copy_(value)
        has_drawn = draws.put_back()
    if changed:
        raise Untraceable(f"its step keeps '{changed[0]}' on itself")
    if has_drawn:
        raise Untraceable("its step draws numbers by itself")


class _Draws(NamedTuple):
    """Holds where the streams stand that a step can draw from."""

    streams: list[torch.Generator]
    torch_states: list[Tensor]
    others: tuple[Any, dict[str, Any]] | None  # of Python and of NumPy, where a step is somebody's own

    @staticmethod
    def of(owners: list[Any]) -> _Draws:
        """Read them off; NumPy is slow to tell, and no step of ours draws from its global stream."""
        values = [value for owner in owners for value in vars(owner).values()]
        kinds = [type(value) for value in values]
        drawn = (value for value, kind in zip(values, kinds, strict=True) if kind is torch.Generator)
        streams = [torch.default_generator, *drawn]
        own = any(type(owner).__module__.partition(".")[0] not in OURS for owner in owners)
        own |= FunctionType in kinds
        return _Draws(streams, [stream.get_state() for stream in streams], _others() if own else None)

    def put_back(self) -> bool:
        """Set all streams to where they stood, and say whether any had moved."""
        moved = False
        for stream, state in zip(self.streams, self.torch_states, strict=True):
            if not torch.equal(stream.get_state(), state):
                moved = True
                stream.set_state(state)
        if self.others is None or _places(_others()) == _places(self.others):
            return moved
        random.setstate(self.others[0])
        np.random.set_state(self.others[1])  # noqa: NPY002 - as below
        return True


def _others() -> tuple[Any, dict[str, Any]]:
    """Return where the global streams of Python and of NumPy stand."""
    return random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002 - somebody's step may use it


def _places(others: tuple[Any, dict[str, Any]]) -> tuple[Any, ...]:
    """Return what of two global streams can be compared."""
    inner = others[1]["state"]
    return others[0], inner["key"].tobytes(), inner["pos"], others[1]["has_gauss"], others[1]["gauss"]


def _owners(module: nn.Module) -> list[Any]:
    """List a module, its parts, and the objects that these hold: all on which a step can keep something."""
    modules = list(module.modules())
    held = [value for one in modules for value in vars(one).values() if type(value) not in PLAIN]
    return [
        *modules,
        *(value for value in held if hasattr(value, "__dict__") and not isinstance(value, WITHOUT_STATE)),
    ]


class _Held(NamedTuple):
    """Holds what an object's attributes are, and what is in those that are containers."""

    owner: Any
    attributes: dict[str, Any]
    inner: dict[str, Any]  # copies of lists, dictionaries and sets, which can change without being set

    @staticmethod
    def of(owner: Any) -> _Held:
        """Read an object off."""
        attributes = dict(vars(owner))
        inner = {
            name: COPIED[type(value)](value) for name, value in attributes.items() if type(value) in COPIED
        }
        return _Held(owner, attributes, inner)

    def put_back(self) -> list[str]:
        """Restore an object's attributes and return the names of those that had changed."""
        now = vars(self.owner)
        changed = [] if _is_same(now, self.attributes) else _names(now, self.attributes)
        for name, value in self.inner.items():
            held = self.attributes[name]
            if not (held or value) or _is_same(held, value):
                continue
            of_module = name in ("_parameters", "_buffers", "_modules")
            changed += _names(held, value) if of_module else [name]
            held.clear()
            held.extend(value) if isinstance(value, list) else held.update(value)
        if changed:
            now.clear()
            now.update(self.attributes)
        return changed


def _is_same(one: Any, other: Any) -> bool:
    """Say whether two containers hold the same objects."""
    if len(one) != len(other):
        return False
    if isinstance(other, set):
        return bool(one == other)
    if isinstance(other, list):
        return all(map(operator.is_, one, other))
    return list(one) == list(other) and all(map(operator.is_, one.values(), other.values()))


def _names(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """List the names under which two dictionaries hold other objects, or one holds nothing."""
    nothing = object()
    return [name for name in {**one, **other} if one.get(name, nothing) is not other.get(name, nothing)]
