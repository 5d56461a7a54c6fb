"""The name of a method: a hash of what it is, stable across later options."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from json.encoder import encode_basestring_ascii
from typing import Protocol, TypeVar

from sgbench.records.base import Value
from sgbench.records.spec import NEUTRAL_CHOICES, Method

NEUTRAL: dict[str, Value] = {
    "clip_norm": None,
    "loss.label_smoothing": 0.0,
    "network.pool_size": 2,
    "network.pooled_layers": None,
    "network.pooling": "none",
    "network.pooling_of": "currents",
    "network.recurrent_delays": False,
    "neuron.input_gain": "one",
    "neuron.learn_threshold": "none",
    "readout.input_gain": "one",
    "readout.learn_threshold": "none",
    "protocol.accumulated_batches": None,
    "protocol.data_order": "seed_epoch",
    "protocol.draw": None,
    "protocol.first_samples": None,
    "rule.burn_in_s": None,
    "rule.feedback": None,
    "rule.form": None,
    "rule.readout": None,
    "rule.update": None,
    "surrogate.width_fwhm": None,
}
"""Frozen: a parameter equal to its neutral value is left out of the hash.

An option added later enters here with the value that leaves all earlier results as they were, so that no
published id changes. A line is never removed or edited. A group added later enters `NEUTRAL_CHOICES` instead, and
here the parameters of its neutral entry.
"""

PROTOCOL_IDENTITY = (
    "name",
    "dt_s",
    "steps",
    "hidden",
    "epochs",
    "batch_size",
    "patience",
    "monitor",
    "precision",
    "data_order",
    "draw",
    "accumulated_batches",
    "first_samples",
)


EXECUTION = ("optimizer.capturable", "optimizer.differentiable", "optimizer.foreach", "optimizer.fused")
"""How torch runs an optimiser, not what it computes."""


def identity(method: Method) -> dict[str, str]:
    """Return the flat, sorted text form of a method that is hashed; numbers as %.12g, no neutral values."""
    flat: dict[str, Value] = dict(method.choices)
    for group, parameters in method.parameters.items():
        flat.update({f"{group}.{key}": value for key, value in parameters.items()})
    flat.update({f"protocol.{key}": getattr(method.protocol, key) for key in PROTOCOL_IDENTITY})
    flat["clip_norm"] = method.clip_norm
    neutral = {key: canonical(value) for key, value in {**NEUTRAL, **NEUTRAL_CHOICES}.items()}
    texts = {key: canonical(value) for key, value in sorted(flat.items())}
    return {key: text for key, text in texts.items() if neutral.get(key) != text and key not in EXECUTION}


def method_id(method: Method) -> str:
    """Hash `identity` with SHA-256 and return its first twelve hexadecimal digits."""
    text = json.dumps(identity(method), ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


WORDS = {None: "null", True: "true", False: "false"}


class OfMethod(Protocol):
    """Defines what is stored of one method: it has the method's id."""

    @property
    def method_id(self) -> str:
        """Return the id of the method."""
        ...


Stored = TypeVar("Stored", bound=OfMethod)


def by_method(records: Iterable[Stored]) -> dict[str, list[Stored]]:
    """Group records, or whatever else is stored of methods, by the method's id, in the order in which they come."""
    groups: dict[str, list[Stored]] = {}
    for record in records:
        groups.setdefault(record.method_id, []).append(record)
    return groups


def same(value: Value, other: Value) -> bool:
    """Return whether two values have the same canonical text.

    >>> same(1, 1.0), same(1, True), same((1, None), (1.0, None))
    (True, False, True)
    """
    kind = type(value)
    if kind is type(other) and kind is not tuple and kind is not list and value == other:
        return True  # as most are, and of a board's methods millions are compared
    return canonical(value) == canonical(other)


def canonical(value: Value) -> str:
    """Write a value as its one text, so that 1, 1.0 and 1e0 are the same number, and 0 and -0.0.

    >>> canonical((1, 1.0, True, None, "a"))
    '[1,1,true,null,"a"]'
    """
    if isinstance(value, str):
        return encode_basestring_ascii(value)  # what json.dumps does of text, in a third of its time
    if value is None or isinstance(value, bool):
        return WORDS[value]
    if isinstance(value, tuple | list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    try:
        return f"{value + 0.0:.12g}"  # the sum turns -0.0 into 0.0
    except OverflowError:
        return str(value)  # a whole number beyond the range of a float
