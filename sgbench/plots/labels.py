"""Wrap long names of rows and in legends into lines, and shorten them if there are too few."""

import textwrap
from collections.abc import Iterable


def wrapped(text: str, width: int, most: int = 1) -> str:
    r"""Wrap a text between its words into at most `most` lines; a longer text ends with an ellipsis.

    >>> wrapped("atan(alpha=2), eprop, adam(lr=0.01)", 22, most=2)
    'atan(alpha=2), eprop,\nadam(lr=0.01)'
    >>> wrapped("atan(alpha=2), eprop, adam(lr=0.01)", 16)
    'atan(alpha=2),…'
    """
    lines = textwrap.wrap(text, width, break_on_hyphens=False)
    if len(lines) > most:
        lines[most - 1 :] = [f"{lines[most - 1][: width - 1]}…"]
    return "\n".join(lines)


def lines_of(texts: Iterable[str]) -> int:
    """Count the lines of the longest of several wrapped texts; 1 without texts."""
    return max((text.count("\n") + 1 for text in texts), default=1)
