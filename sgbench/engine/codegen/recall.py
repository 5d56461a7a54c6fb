"""What was written down in an earlier pass, as long as nothing has changed that the neurons know of."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn

from sgbench.engine.codegen.program import Program
from sgbench.engine.codegen.source import LoopSource

MOST = 16
"""Programs of one layer's neurons: with and without gradient, a last batch that is shorter, and old ones."""
_programs: weakref.WeakKeyDictionary[Any, dict[Any, tuple[Program, LoopSource]]] = weakref.WeakKeyDictionary()


class _UnknownError(Exception):
    """Reports something of which nobody can say whether it has changed."""


def recalled(
    neuron: nn.Module, key: tuple[Any, ...], write: Callable[[], tuple[Program, LoopSource]]
) -> tuple[Program, LoopSource]:
    """Return the cached result of `write` for a neuron, or compute it where the neuron has changed since.

    A step whose parameters learn is written down anew each time, for what it makes of them has moved. Numbers are
    compared wherever the neurons and their parts hold them; a number that a step takes from a module instead, and
    that somebody moves during a training, would not be noticed.

    Args:
        neuron: whose step it is.
        key: what else decides: shapes, precision, what is wanted.
        write: writes the step down.
    """
    try:
        whole = (key, tuple(_state(module) for module in neuron.modules()))
        hash(whole)
    except (_UnknownError, TypeError):
        return write()
    programs = _programs.setdefault(neuron, {})
    if whole in programs:
        return programs[whole]
    written = write()
    if not written[0].learnt and not written[0].noises:
        if len(programs) >= MOST:
            programs.clear()
        programs[whole] = written
    return written


def _state(value: Any) -> Any:
    """Summarise a value by something that changes whenever the value does."""
    if value is None or isinstance(value, bool | int | float | str | type | torch.dtype):
        return value
    if isinstance(value, Tensor):
        return id(value), value._version, value.requires_grad
    if isinstance(value, Mapping):
        return tuple((key, _inner(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(_inner(item) for item in value)
    if isinstance(value, set | frozenset):
        return frozenset(_inner(item) for item in value)
    if isinstance(value, FunctionType | BuiltinFunctionType | MethodType):
        return id(value)
    if hasattr(value, "__dict__"):
        return id(value), type(value), _state(vars(value))
    raise _UnknownError


def _inner(value: Any) -> Any:
    """Summarise a part of a value; of a module only its identity, since each module is summarised by itself."""
    return id(value) if isinstance(value, nn.Module) else _state(value)
