"""What a step must not do: keep something on itself."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from sgbench.engine.codegen.values import Untraceable


@contextmanager
def unchanged(module: nn.Module) -> Iterator[None]:
    """Raise an error if a step keeps something on its module, and undo it.

    Raises:
        Untraceable: an attribute or a buffer of the module or of a part of it was changed.
    """
    before = [(submodule, dict(vars(submodule)), _containers(submodule)) for submodule in module.modules()]
    tensors = [
        (name, buffer, buffer._version, buffer.detach().clone()) for name, buffer in module.named_buffers()
    ]
    try:
        yield
    finally:
        changed = [
            name
            for submodule, attributes, inner in before
            for name in _put_back(submodule, attributes, inner)
        ]
        for name, tensor, version, value in tensors:
            if tensor._version != version:
                changed.append(name)
                tensor.detach().copy_(value)
    if changed:
        raise Untraceable(f"its step keeps '{changed[0]}' on itself")


def _containers(module: nn.Module) -> dict[str, Any]:
    """Return copies of a module's lists, dictionaries and sets, which can change without being set."""
    return {
        name: copy.copy(value) for name, value in vars(module).items() if isinstance(value, list | dict | set)
    }


def _put_back(module: nn.Module, attributes: dict[str, Any], inner: dict[str, Any]) -> list[str]:
    """Restore a module's attributes and return the names of those that had changed."""
    now = vars(module)
    changed = [name for name in now if name not in attributes or now[name] is not attributes[name]]
    for name, value in inner.items():
        if _differ(attributes[name], value):
            changed += (
                _names(attributes[name], value) if name in ("_parameters", "_buffers", "_modules") else [name]
            )
            attributes[name].clear()
            attributes[name].extend(value) if isinstance(value, list) else attributes[name].update(value)
    for name in changed:
        if name not in attributes:
            now.pop(name, None)
    now.update(attributes)
    return changed


def _differ(one: Any, other: Any) -> bool:
    """Say whether two containers hold other objects."""
    if len(one) != len(other):
        return True
    if isinstance(one, dict):
        return any(key not in other or other[key] is not value for key, value in one.items())
    if isinstance(one, set):
        return one != other
    return any(a is not b for a, b in zip(one, other, strict=True))


def _names(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """List the names under which two dictionaries hold other objects."""
    return [name for name in {**one, **other} if one.get(name) is not other.get(name)]
