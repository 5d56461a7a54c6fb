"""The id of a method: a hash of its choices and settings that later options do not change."""

import hashlib
import json
from collections.abc import Iterable
from json.encoder import encode_basestring_ascii
from typing import Protocol, TypeVar

from sgbench.records.base import Value
from sgbench.records.spec import NEUTRAL_CHOICES, Method

NEUTRAL: dict[str, Value] = {
    "clip_norm": None,
    "dataset.transforms": None,
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
"""Parameters of how torch executes an optimiser, which do not change its results."""


def identity(method: Method) -> dict[str, str]:
    """Map the sorted names of a method's choices and settings to their canonical texts, which its id hashes.

    Values that equal their entry in `NEUTRAL` or `NEUTRAL_CHOICES` are left out, and so are those in `EXECUTION`.
    """
    flat: dict[str, Value] = dict(method.choices)
    for group, parameters in method.parameters.items():
        flat.update({f"{group}.{key}": value for key, value in parameters.items()})
    flat.update({f"protocol.{key}": getattr(method.protocol, key) for key in PROTOCOL_IDENTITY})
    flat["clip_norm"] = method.clip_norm
    neutral = {key: canonical(value) for key, value in {**NEUTRAL, **NEUTRAL_CHOICES}.items()}
    texts = {key: canonical(value) for key, value in sorted(flat.items())}
    return {key: text for key, text in texts.items() if neutral.get(key) != text and key not in EXECUTION}


def method_id(method: Method) -> str:
    text = json.dumps(identity(method), ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


WORDS = {None: "null", True: "true", False: "false"}  # as in JSON


class OfMethod(Protocol):
    """Describes stored data of one method: anything with a method id."""

    @property
    def method_id(self) -> str: ...


Stored = TypeVar("Stored", bound=OfMethod)


def by_method(records: Iterable[Stored]) -> dict[str, list[Stored]]:
    groups: dict[str, list[Stored]] = {}
    for record in records:
        groups.setdefault(record.method_id, []).append(record)
    return groups


def same(value: Value, other: Value) -> bool:
    """Return whether two values have the same canonical text, as 1 and 1.0 do.

    >>> same(1, 1.0), same(1, True), same((1, None), (1.0, None))
    (True, False, True)
    """
    value_type = type(value)
    if value_type is type(other) and value_type is not tuple and value_type is not list and value == other:
        return True  # for speed, as most comparisons end here
    return canonical(value) == canonical(other)


def canonical(value: Value) -> str:
    """Write a value as text such that equal values, like 1, 1.0 and 1e0, or 0 and -0.0, have equal texts.

    >>> canonical((1, 1.0, True, None, "a"))
    '[1,1,true,null,"a"]'
    """
    if isinstance(value, str):
        return encode_basestring_ascii(value)  # equals json.dumps, in a third of the time
    if value is None or isinstance(value, bool):
        return WORDS[value]
    if isinstance(value, tuple | list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    try:
        return f"{value + 0.0:.12g}"  # the sum turns -0.0 into 0.0
    except OverflowError:
        return str(value)  # a whole number beyond the range of a float


def with_new_parameters(method: Method, composed: Method) -> Method:
    """Add to a method the parameters that only `composed` has, with neutral values, so that its id stays."""
    parameters = {}
    for group, own in method.parameters.items():
        missing = {key: f"{group}.{key}" for key in composed.parameters[group] if key not in own}
        parameters[group] = own | {key: NEUTRAL[name] for key, name in missing.items() if name in NEUTRAL}
    return method.model_copy(update={"parameters": parameters})
