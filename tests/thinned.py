"""Of many values a part in the default run, and the rest in `make test-slow`."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest


def thinned(values: Iterable[Any], every: int) -> list[Any]:
    """The first value and each `every`-th after it run by default; those between are marked slow.

    >>> [getattr(value, "values", value) for value in thinned("abcd", 3)]
    ['a', ('b',), ('c',), 'd']
    """
    return [
        value if place % every == 0 else pytest.param(value, marks=pytest.mark.slow)
        for place, value in enumerate(values)
    ]


def thinned_rows(rows: Iterable[tuple[Any, ...]], every: int) -> list[Any]:
    """Thin rows of several arguments as `thinned` does single values.

    >>> [getattr(row, "values", row) for row in thinned_rows([(1, "a"), (2, "b"), (3, "c")], 2)]
    [(1, 'a'), (2, 'b'), (3, 'c')]
    """
    return [row if place % every == 0 else pytest.param(*row, marks=pytest.mark.slow) for place, row in enumerate(rows)]


def is_chosen(name: str, every: int) -> bool:
    """Return whether a case is of the sample of one in `every`, which depends on its name alone.

    A new case moves no other one into the sample or out of it, and each test takes other cases of a catalogue.
    """
    return zlib.crc32(name.encode()) % every == 0


def has_example(path: Path) -> bool:
    """Return whether a file has an example of an interactive session, which doctest would run."""
    return b">>> " in path.read_bytes()


def left_out(items: Iterable[pytest.Item]) -> Iterator[pytest.Item]:
    """Yield the cases that the default run leaves out, of tests that are marked `one_in`.

    The first case of a test always runs; of those after it the cases whose name `is_chosen`.
    """
    begun: set[str] = set()
    for item in items:
        if not item.get_closest_marker("one_in") or item.get_closest_marker("slow"):  # a folder may be named slow
            continue
        marks = list(item.iter_markers("one_in"))
        test = item.nodeid.partition("[")[0]
        if test in begun and not is_chosen(item.nodeid, *marks[0].args):
            yield item
        begun.add(test)
