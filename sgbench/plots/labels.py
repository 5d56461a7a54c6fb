"""Names beside rows and in legends: over several lines where they are long, and cut where even these do not do."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable


def wrapped(text: str, width: int, most: int = 1) -> str:
    r"""Wrap a text between its words into lines, and end it with an ellipsis where they are too few.

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
    """Count the lines of the longest of several wrapped texts; one where there is none."""
    return max((text.count("\n") + 1 for text in texts), default=1)
