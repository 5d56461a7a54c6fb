"""Finds text in records and logs that could act as markup on a page or as control characters in a terminal."""

import re
from collections.abc import Iterator

from fastspiking.formula import canonical_formula
from sgbench.errors import InputError, printable
from sgbench.records.base import LETTERS, SCRIPT

ALLOWED = ".,:;'\"()[]+-/=%_^@"
"""Punctuation that plain text may have: that in names of machines, versions and reasons."""
_PLAIN = re.compile(rf"[{LETTERS} {re.escape(ALLOWED)}]*")
_LINK = re.compile(r"\]\s*[(:\[]|@(?! )")  # a Markdown link or a mention, unlike '2 cores @ 3 GHz'
FORMULA = "parameters.surrogate.formula"
"""Key of the only text that may be a formula, with its operators."""
OWN_RULES = frozenset({"contact", "paper", "code"})
"""Keys of addresses, which have their own rules."""


def markup_keys(tree: object, key: str = "") -> Iterator[str]:
    """Yield the dotted keys of all texts in a tree that are not plain, and of parts with a name that is not.

    >>> list(markup_keys({"name": "atan", "layers": [{"reason": "<b>"}]}))
    ['layers.0.reason']
    """
    if isinstance(tree, dict):
        for name, value in tree.items():
            inner = f"{key}.{name}" if key else str(name)
            if not is_plain(str(name)):
                yield key
            elif inner not in OWN_RULES:
                yield from markup_keys(value, inner)
    elif isinstance(tree, list | tuple):
        for index, value in enumerate(tree):
            yield from markup_keys(value, f"{key}.{index}")
    elif isinstance(tree, str) and not is_plain(tree) and not (key.endswith(FORMULA) and is_formula(tree)):
        yield key


def is_formula(text: str) -> bool:
    """Return whether a text is a slope's formula in canonical form, whose characters cannot be markup.

    >>> is_formula("1/(1+abs(a*u))**2"), is_formula("u<b>0")
    (True, False)
    """
    try:
        return canonical_formula(text) == text
    except InputError:
        return False


def is_plain(text: str) -> bool:
    """Return whether a text has only Latin letters, digits and a little punctuation, and no link or address.

    >>> [is_plain(text) for text in ("Intel(R) Core(TM) @ 3 GHz", "in [0, 1].", "see [me](x)", "hi @you", "a|b")]
    [True, True, False, False, False]
    """
    return bool(_PLAIN.fullmatch(text)) and not _LINK.search(text) and not SCRIPT.search(text)


def markup_message(key: str) -> str:
    return (
        f"{printable(key)}: plain text is needed: Latin letters, digits, spaces and {ALLOWED}, no address and no markup"
    )
