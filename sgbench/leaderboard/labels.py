"""Text for tables: parameters as short calls, numbers as figures, and a stranger's words made inert."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from sgbench.records.base import Value

MAX_LABEL_CHARS = 120
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_./-]+")
_ACTIVE = re.compile(r"[`|<>&]")


def parameter_text(value: Value) -> str:
    r"""Write a parameter's value; text that is no plain word is quoted, and Markdown's signs are escaped.

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


def inert(text: str) -> str:
    r"""Write a stranger's text as one line of ASCII that cannot end a code span, a table cell or a tag.

    >>> inert("a`b\nc|d")
    'a\\u0060b c\\u007cd'
    """
    line = " ".join(text.split()).encode("ascii", "backslashreplace").decode()
    if not line.isprintable():
        line = "".join(
            character if character.isprintable() else f"\\x{ord(character):02x}" for character in line
        )
    return _ACTIVE.sub(lambda match: f"\\u{ord(match.group()):04x}", line)


def call(name: str, parameters: Mapping[str, Value]) -> str:
    """Write a choice with its parameters; those that are null or false are left out.

    >>> call("atan", {"alpha": None, "width_fwhm": 1.0})
    'atan(width_fwhm=1)'
    """
    given = [
        f"{key}={parameter_text(value)}"
        for key, value in parameters.items()
        if value is not None and value is not False
    ]
    text = f"{name}({', '.join(given)})" if given else name
    return text if len(text) <= MAX_LABEL_CHARS else text[: MAX_LABEL_CHARS - 3] + "..."


def surrogate_call(name: str, parameters: Mapping[str, Value]) -> str:
    """Write a surrogate with its parameters; height is shown where it is not the usual peak of 1.

    >>> surrogate_call("atan", {"alpha": 2.0, "normalisation": "peak1", "scale": 1.0})
    'atan(alpha=2)'
    """
    usual = {"normalisation": "peak1", "scale": 1}
    shown = {key: value for key, value in parameters.items() if key not in usual or value != usual[key]}
    return call(name, shown)


def code(text: str) -> str:
    """Put a code span around words that may come from a stranger.

    >>> code("atan(alpha=2)")
    '`atan(alpha=2)`'
    """
    return f"`{inert(text)}`"


def prose(text: str) -> str:
    """Write the catalogue's own text as one line that cannot end a table cell or begin a tag.

    >>> prose("less than 5 pJ | 0.8 V")
    'less than 5 pJ &#124; 0.8 V'
    """
    return _ACTIVE.sub(lambda match: f"&#{ord(match.group())};", " ".join(text.split()))
