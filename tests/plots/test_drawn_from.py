"""The digest of a picture's numbers: the same on every machine, another for other numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from sgbench.plots.style import numbers_digest, numbers_text


@dataclass(frozen=True)
class Line:
    """A line of a picture."""

    name: str
    heights: tuple[float, ...]
    is_solid: bool = True


def test_values_by_hand() -> None:
    """Must match: the text counted out by hand; numbers of numpy as those of Python."""
    assert numbers_text(Line("a", (1 / 3, -0.0, 2e10))) == "[a [0.333333333 0 2e+10] True]"
    assert numbers_text({"b": np.array([[1.5, np.nan]])}) == "[[b [[1.5 nan]]]]"
    assert numbers_text((np.float64(0.1), np.float32(0.5), 3, None)) == "[0.1 0.5 3 None]"


def test_the_last_bits_do_not_count() -> None:
    """Must match: the neighbours of a double, and sums of one row in two orders."""
    values = (93.4, 0.02, 1 / 3, 1e-9)
    for toward in (0.0, math.inf):
        near = tuple(math.nextafter(value, toward) for value in values)
        assert near != values
        assert numbers_digest(Line("a", near)) == numbers_digest(Line("a", values))
    row = (0.1, 0.2, 0.3)
    assert sum(row) - 0.6 != sum(reversed(row)) - 0.6
    assert numbers_digest(sum(row) - 0.6) == numbers_digest(sum(reversed(row)) - 0.6)


@pytest.mark.parametrize("factor", [1 + 1e-8, 1 - 1e-8])
def test_other_numbers_give_another(factor: float) -> None:
    """Must differ: a change in the eighth digit, a name, an order, a number that is missing."""
    line = Line("a", (93.4, 2.0))
    others = [
        Line("a", (93.4 * factor, 2.0)),
        Line("b", (93.4, 2.0)),
        Line("a", (2.0, 93.4)),
        Line("a", (93.4,)),
        Line("a", (93.4, 2.0), is_solid=False),
    ]
    digests = [numbers_digest(one) for one in (line, *others)]
    assert all(one != other for one, other in pairwise(sorted(digests)))
