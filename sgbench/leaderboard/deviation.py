"""Is a record comparable: does it follow the protocol that it names, outside what the protocol leaves free?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sgbench import catalogue
from sgbench.errors import InputError
from sgbench.records.base import Value
from sgbench.records.method import NEUTRAL, PROTOCOL_IDENTITY, canonical
from sgbench.records.record import RunRecord
from sgbench.records.spec import GROUPS, Method, Protocol

SHOWN = 3
"""How many deviations a message spells out."""
SHOWN_CHARS = 60
"""How much of a value a message shows."""


@dataclass(frozen=True)
class Reference:
    """The catalogue's own word on a protocol: its values, and a method that follows it everywhere."""

    protocol: Protocol
    method: Method


class References:
    """The references of the protocols that a board meets, each composed once.

    Args:
        config_dirs: folders with entries of the user's own.
    """

    def __init__(self, config_dirs: Iterable[Path] = ()) -> None:
        self.config_dirs = tuple(config_dirs)
        self._known: dict[str, Reference] = {}

    def of(self, name: str) -> Reference:
        """The reference of one protocol.

        Raises:
            InputError: the catalogue has no such protocol, or it cannot be composed.
        """
        if name not in self._known:
            self._known[name] = compose_reference(name, config_dirs=self.config_dirs)
        return self._known[name]


def compose_reference(name: str, *, config_dirs: Iterable[Path] = ()) -> Reference:
    """Compose the catalogue's defaults under a protocol with the choices that it fixes.

    Raises:
        InputError: the catalogue has no such protocol, or it cannot be composed.

    >>> compose_reference("digits_v1").method.choices["dataset"]
    'digits'
    """
    # Hydra is needed here alone; a table from records that are already checked starts without it.
    from sgbench.compose import compose

    folders = tuple(config_dirs)
    fixed = catalogue.entry("protocol", name, folders).parameters.get("fixed")
    if not isinstance(fixed, dict):
        raise InputError(f"protocol '{name}': fixed has to be a mapping of groups to choices")
    words = [f"{'neuron@readout' if group == 'readout' else group}={pick}" for group, pick in fixed.items()]
    method = compose([f"protocol={name}", *words], config_dirs=folders).method
    return Reference(method.protocol, method)


def deviation(record: RunRecord, reference: Reference) -> str | None:
    """Why a record is no row of its protocol's board, on one line, or None if it is one."""
    found = list(_deviations(record, reference))
    if not found:
        return None
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return (
        f"method {record.method_id} seed {record.seed} deviates from {reference.protocol.name}: "
        f"{'; '.join(found[:SHOWN])}{more}"
    )


def _deviations(record: RunRecord, reference: Reference) -> Iterator[str]:
    protocol = reference.protocol
    for key in PROTOCOL_IDENTITY:
        ours, theirs = getattr(protocol, key), getattr(record.method.protocol, key)
        yield from _differs(f"protocol.{key}", theirs, ours)
    if record.seed not in protocol.seeds:
        # A free choice among more seeds would be a choice of results.
        yield f"seed {record.seed} is not among the protocol's seeds {', '.join(map(str, protocol.seeds))}"
    if "clip_norm" not in protocol.free:
        yield from _differs("clip_norm", record.method.clip_norm, reference.method.clip_norm)
    for group in GROUPS:
        if group not in protocol.free:
            yield from _group_deviations(group, record.method, reference)


def _group_deviations(group: str, method: Method, reference: Reference) -> Iterator[str]:
    ours = reference.method.choices[group]
    if method.choices[group] != ours:
        yield from _differs(group, method.choices[group], ours)
        return  # the parameters of another entry cannot be compared
    given, expected = method.parameters[group], reference.method.parameters[group]
    for key in sorted({*given, *expected}):
        name = f"{group}.{key}"
        if name not in reference.protocol.free:
            yield from _differs(name, _parameter(given, name), _parameter(expected, name))


def _parameter(parameters: dict[str, Value], name: str) -> Value:
    """A parameter, or the frozen value that an older record without it stands for."""
    return parameters.get(name.partition(".")[2], NEUTRAL.get(name, "absent"))


def _differs(name: str, theirs: Value, ours: Value) -> Iterator[str]:
    if canonical(theirs) != canonical(ours):
        yield f"{name} is {_short(theirs)}, the protocol says {_short(ours)}"


def _short(value: Value) -> str:
    text = canonical(value)
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 3] + "..."
