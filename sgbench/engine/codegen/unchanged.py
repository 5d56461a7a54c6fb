"""What a step must not do: keep something on itself, or draw numbers that the loops cannot draw again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sgbench.engine.codegen.snapshot import Snapshot
from sgbench.engine.codegen.values import Untraceable


@contextmanager
def unchanged(before: Snapshot) -> Iterator[None]:
    """Raise an error if a step keeps something on its module or draws numbers, and undo it.

    Raises:
        Untraceable: something of the module or of a part of it was changed, or a generator moved.
    """
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
    """Holds where the streams stand that a step can draw from."""

    streams: list[torch.Generator]
    states: list[Tensor]
    others: tuple[Any, dict[str, Any]] | None  # of Python and of NumPy, where a step is somebody's own

    @staticmethod
    def of(before: Snapshot) -> _Draws:
        """Read torch's streams, and for foreign steps those of Python and of NumPy, which are slow to read."""
        streams = [torch.default_generator, *before.streams]
        others = None if before.is_ours else _others()
        return _Draws(streams, [stream.get_state() for stream in streams], others)

    def put_back(self) -> bool:
        """Set all streams to where they stood, and say whether any had moved."""
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
    """Return where the global streams of Python and of NumPy stand."""
    return random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002 - somebody's step may use it


def _places(others: tuple[Any, dict[str, Any]]) -> tuple[Any, ...]:
    """Return the comparable state of two global random streams."""
    inner = others[1]["state"]
    return others[0], inner["key"].tobytes(), inner["pos"], others[1]["has_gauss"], others[1]["gauss"]
