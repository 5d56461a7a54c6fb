"""Text in records and logs that could act on a page or a terminal, found wherever it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sgbench.errors import InputError, printable
from sgbench.records.formula import canonical_formula
from sgbench.records.text import LETTERS, SCRIPT

ALLOWED = ".,:;'\"()[]+-/=%_^@"
"""What machines, versions and reasons are written with, beside letters, digits and spaces."""
_PLAIN = re.compile(rf"[{LETTERS} {re.escape(ALLOWED)}]*")
_LINK = re.compile(r"\]\s*[(:\[]|@(?! )")  # of Markdown, and a mention; '2 cores @ 3 GHz' is none
FORMULA = "parameters.surrogate.formula"
"""Where a formula belongs, whose operators no other text has."""
OWN_RULES = frozenset({"contact", "paper", "code"})
"""Fields in which an address belongs, each with a rule of its own."""


def unplain(tree: object, place: str = "") -> Iterator[str]:
    """Yield the places of all texts and names that hold more than plain text.

    >>> list(unplain({"name": "atan", "layers": [{"reason": "<b>"}]}))
    ['layers.0.reason']
    """
    if isinstance(tree, dict):
        for key, value in tree.items():
            inner = f"{place}.{key}" if place else str(key)
            if not is_plain(str(key)):
                yield place
            elif inner not in OWN_RULES:
                yield from unplain(value, inner)
    elif isinstance(tree, list | tuple):
        for index, value in enumerate(tree):
            yield from unplain(value, f"{place}.{index}")
    elif isinstance(tree, str) and not is_plain(tree) and not (place.endswith(FORMULA) and is_formula(tree)):
        yield place


def is_formula(text: str) -> bool:
    """Return whether a text is a slope's formula in its one form, whose signs and names can be no markup.

    >>> is_formula("1/(1+abs(a*u))**2"), is_formula("u<b>0")
    (True, False)
    """
    try:
        return canonical_formula(text) == text
    except InputError:
        return False


def is_plain(text: str) -> bool:
    """Return whether a text is Latin letters, digits and a little punctuation, without an address.

    >>> [is_plain(text) for text in ("Intel(R) Core(TM) @ 3 GHz", "in [0, 1].", "see [me](x)", "hi @you", "a|b")]
    [True, True, False, False, False]
    """
    return bool(_PLAIN.fullmatch(text)) and not _LINK.search(text) and not SCRIPT.search(text)


def complaint(place: str) -> str:
    """Write the complaint about text that is not plain at one of these places."""
    return (
        f"{printable(place)}: plain text is needed: Latin letters, digits, spaces and {ALLOWED}, no address "
        "and no markup"
    )
