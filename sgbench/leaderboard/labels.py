"""Write entries of methods with their parameters as short calls, e.g. atan(alpha=2)."""

import json
import re
from collections.abc import Mapping

from sgbench.records.base import Value
from sgbench.tables import inert

_MAX_LABEL_CHARS = 120
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_./-]+")


def parameter_text(value: Value) -> str:
    r"""Write a parameter's value; text is quoted and escaped for Markdown unless it is one plain word.

    >>> parameter_text(1.0), parameter_text((0.9, 0.999)), parameter_text("subtract")
    ('1', '[0.9,0.999]', 'subtract')
    >>> parameter_text("a|b<i>")
    '"a\\u007cb\\u003ci\\u003e"'
    """
    if isinstance(value, tuple | list):
        return "[" + ",".join(parameter_text(item) for item in value) + "]"
    if isinstance(value, str):
        return value if _PLAIN_WORD.fullmatch(value) else inert(json.dumps(value))
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return f"{value:.6g}"


def call(name: str, parameters: Mapping[str, Value]) -> str:
    """Write an entry with its parameters, without those that are null or false, in at most 120 characters.

    >>> call("atan", {"alpha": None, "width_fwhm": 1.0})
    'atan(width_fwhm=1)'
    """
    shown = [
        f"{key}={parameter_text(value)}"
        for key, value in parameters.items()
        if value is not None and value is not False
    ]
    text = f"{name}({', '.join(shown)})" if shown else name
    return text if len(text) <= _MAX_LABEL_CHARS else text[: _MAX_LABEL_CHARS - 3] + "..."


def surrogate_call(name: str, parameters: Mapping[str, Value]) -> str:
    """Write a surrogate with its parameters, without a normalisation of `peak1` and a scale of 1.

    >>> surrogate_call("atan", {"alpha": 2.0, "normalisation": "peak1", "scale": 1.0})
    'atan(alpha=2)'
    """
    return call(name, _unusual(parameters))


def short_names(name: str, parameters: Mapping[str, Value]) -> frozenset[str]:
    """Name a surrogate by each number that its call shows.

    >>> sorted(short_names("atan", {"alpha": None, "width_fwhm": 0.5, "normalisation": "peak1", "scale": 1.0}))
    ['atan:0.5']
    """
    numbers = [value for value in _unusual(parameters).values() if type(value) in (int, float)]
    return frozenset(f"{name}:{parameter_text(value)}" for value in numbers)


def _unusual(parameters: Mapping[str, Value]) -> dict[str, Value]:
    usual = {"normalisation": "peak1", "scale": 1}
    return {key: value for key, value in parameters.items() if key not in usual or value != usual[key]}
