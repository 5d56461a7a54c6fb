"""What a message has to say, whatever its wording: one line with the things it is about and the words to type."""

from __future__ import annotations


def missing(message: object, *things: str) -> list[str]:
    """The things that a message does not name as whole words, and a line end where it has more than one line.

    >>> missing("engine=fused: layer 'hidden0' cannot; use engine=auto", "hidden0", "engine=auto", "hidden")
    ['hidden']
    """
    text = str(message).strip()
    return [thing for thing in things if not _stands_in(thing, text)] + (["\n"] if "\n" in text else [])


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
