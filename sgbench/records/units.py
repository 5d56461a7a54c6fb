"""Units of prices: what one count of an operation is, and what a price may be stated per."""

from __future__ import annotations

from typing import Literal

Per = Literal["operation", "step", "hop", "bit", "byte", "word16", "word32", "word64"]

SIZES: dict[Per, tuple[str, int]] = {
    "operation": ("operation", 1),
    "step": ("step", 1),
    "hop": ("hop", 1),
    "bit": ("bit", 1),
    "byte": ("bit", 8),
    "word16": ("bit", 16),
    "word32": ("bit", 32),
    "word64": ("bit", 64),
}
"""Of each unit, what it is a multiple of and how many it is."""


def counts_in(per: Per, counted: Per) -> float:
    """Return how many of what is counted one unit of a price holds.

    Args:
        per: what the price is stated per.
        counted: what one count is.

    Raises:
        ValueError: the two are not of one kind: no factor leads from one to the other.

    >>> counts_in("word64", "bit"), counts_in("operation", "operation")
    (64.0, 1.0)
    >>> counts_in("byte", "operation")
    Traceback (most recent call last):
    ...
    ValueError: a price per byte cannot be multiplied by a number of operations
    """
    kind, size = SIZES[per]
    counted_kind, counted_size = SIZES[counted]
    if kind != counted_kind:
        raise ValueError(f"a price per {per} cannot be multiplied by a number of {counted}s")
    return size / counted_size
