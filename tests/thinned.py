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
