"""The covering array against a count over every possible row."""

from __future__ import annotations

import itertools

import pytest

from tests.contracts.pairs import Pair, all_pairs, covering_rows, pairs_of

FACTORS = {"a": ["0", "1", "2"], "b": ["0", "1", "2", "3"], "c": ["0", "1"], "d": ["0", "1"]}
REFUSED: list[Pair] = [
    frozenset([("a", "0"), ("b", "1")]),
    frozenset([("a", "1"), ("c", "0")]),
    frozenset([("a", "1"), ("c", "1")]),  # nothing is left of a=1
    frozenset([("b", "2"), ("d", "1")]),
]


@pytest.mark.parametrize("refused", [[], REFUSED[:1], REFUSED], ids=len)
@pytest.mark.parametrize("seed", range(5))
def test_rows_hold_what_any_row_can(refused: list[Pair], seed: int) -> None:
    """Must match: the pairs of all rows without a refused pair, by going through every row there is."""
    every = [dict(zip(FACTORS, names, strict=True)) for names in itertools.product(*FACTORS.values())]
    allowed = [row for row in every if not set(pairs_of(row)) & set(refused)]
    possible = {pair for row in allowed for pair in pairs_of(row)}
    rows, unreachable = covering_rows(FACTORS, refused, seed)
    assert all(row in allowed for row in rows)
    assert {pair for row in rows for pair in pairs_of(row)} == possible
    assert set(unreachable) == set(all_pairs(FACTORS)) - possible - set(refused)
    assert len(rows) <= 2 * 12  # twice the least that a and b need
    assert covering_rows(FACTORS, refused, seed) == (rows, unreachable)
