"""Which engine unrolls a network, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sgbench.engine import reference
from sgbench.errors import InputError, suggest

ENGINES: dict[str, Callable[..., reference.LayerRun]] = {"reference": reference.unroll}


class Choice(NamedTuple):
    """An engine and the reason for it."""

    name: str
    reason: str
    unroll: Callable[..., reference.LayerRun]


def choose(requested: str) -> Choice:
    """The engine of this name; `auto` is the fastest that covers the case.

    >>> choose("auto").name
    'reference'
    """
    if requested == "auto":
        return Choice("reference", "the only engine that covers every neuron", ENGINES["reference"])
    if requested not in ENGINES:
        raise InputError(f"engine '{requested}' does not exist; {suggest(requested, ['auto', *ENGINES])}")
    return Choice(requested, "asked for", ENGINES[requested])
