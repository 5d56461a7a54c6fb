"""Of many values a part in the default run, and the rest in `make test-slow`."""

from __future__ import annotations

from collections.abc import Iterable
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
    return [
        row if place % every == 0 else pytest.param(*row, marks=pytest.mark.slow)
        for place, row in enumerate(rows)
    ]
