"""What a message has to say, whatever its wording: one line with the things it is about and the words to type."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


def missing(message: object, *things: str) -> list[str]:
    """The things that a message does not name as whole words, and a line end where it has more than one line.

    >>> missing("engine=fused: layer 'hidden0' cannot; use engine=auto", "hidden0", "engine=auto", "hidden")
    ['hidden']
    """
    text = str(message).strip()
    return [thing for thing in things if not _stands_in(thing, text)] + (["\n"] if "\n" in text else [])


@contextmanager
def raises_naming(error: type[BaseException], *things: str) -> Iterator[pytest.ExceptionInfo[Any]]:
    """Expect an error of one line that names these things as whole words.

    >>> with raises_naming(ValueError, "seed=-1", "0"):
    ...     raise ValueError("seed=-1: a whole number of at least 0 is needed")
    """
    with pytest.raises(error) as told:
        yield told
    assert missing(told.value, *things) == [], str(told.value)


def lines_naming(text: object, *things: str) -> list[str]:
    """Return the lines of a text that each name all of these things as whole words.

    >>> lines_naming("A: 4.8 points\\nB: 3.5 points", "4.8 points", "A")
    ['A: 4.8 points']
    >>> lines_naming("A: 4.8 points\\nB: 3.5 points", "4.8 points", "B")
    []
    """
    return [line for line in str(text).splitlines() if not missing(line, *things)]


def _stands_in(thing: str, text: str) -> bool:
    """Return whether a thing is in a text with no letter or digit of a longer word beside it."""
    at = text.find(thing)
    while at >= 0:
        before, behind = text[at - 1 : at], text[at + len(thing) : at + len(thing) + 1]
        joined = (before.isalnum() and thing[0].isalnum()) or (behind.isalnum() and thing[-1].isalnum())
        if not joined:
            return True
        at = text.find(thing, at + 1)
    return False
