"""A guard against steps with side effects: changes of the module, and draws from random generators."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fastspiking.codegen.snapshot import Snapshot
from fastspiking.codegen.values import Untraceable


@contextmanager
def unchanged(before: Snapshot) -> Iterator[None]:
    """Check, after the body has run a step, that it changed nothing on its module and drew no numbers; undo both."""
    draws = _Draws.of(before)
    try:
        yield
    finally:
        changed = [] if before.is_same() else before.put_back()
        has_drawn = draws.put_back()
    if changed:
        raise Untraceable(f"its step keeps '{changed[0]}' on itself")
    if has_drawn:
        raise Untraceable("its step draws numbers by itself")


class _Draws(NamedTuple):
    """Holds the states of the random generators that a step can draw from."""

    streams: list[torch.Generator]
    states: list[Tensor]  # of these generators
    others: tuple[Any, dict[str, Any]] | None  # states of Python's and NumPy's, if the step is foreign

    @staticmethod
    def of(before: Snapshot) -> _Draws:
        """Read the states of torch's generators, and for foreign steps also Python's and NumPy's, which is slow."""
        streams = [torch.default_generator, *before.streams]
        others = None if before.is_ours else _others()
        return _Draws(streams, [stream.get_state() for stream in streams], others)

    def put_back(self) -> bool:
        """Restore the states of all generators, and return whether any had been used."""
        moved = False
        for stream, state in zip(self.streams, self.states, strict=True):
            if not torch.equal(stream.get_state(), state):
                moved = True
                stream.set_state(state)
        if self.others is None or _places(_others()) == _places(self.others):
            return moved
        random.setstate(self.others[0])
        np.random.set_state(self.others[1])  # noqa: NPY002 - as below
        return True


def _others() -> tuple[Any, dict[str, Any]]:
    """Return the states of the global random generators of Python and NumPy."""
    return random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002 - somebody's step may use it


def _places(others: tuple[Any, dict[str, Any]]) -> tuple[Any, ...]:
    """Return the states of Python's and NumPy's generators as a tuple that `==` can compare."""
    inner = others[1]["state"]
    return others[0], inner["key"].tobytes(), inner["pos"], others[1]["has_gauss"], others[1]["gauss"]
