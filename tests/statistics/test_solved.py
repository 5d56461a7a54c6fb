"""Shares of runs that solve a task."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sgbench.errors import InputError
from sgbench.statistics.solved import boschloo_table, compare_shares, wilson


@pytest.mark.parametrize(
    ("solved", "runs", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_are_the_published_ones(solved: int, runs: int, low: float, high: float) -> None:
    """Reference: Newcombe 1998, table I, method 3; and scipy's binomtest."""
    share = wilson(solved, runs)
    assert (share.low, share.high) == pytest.approx((low, high), abs=5e-5)
    interval = stats.binomtest(solved, runs).proportion_ci(method="wilson")
    assert (share.low, share.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [((56, 70, 48, 80), 0.0524, 0.3339), ((9, 10, 3, 10), 0.1705, 0.8090), ((10, 10, 0, 20), 0.6791, 1.0)],
)
def test_differences_are_the_published_ones(counts: tuple[int, ...], low: float, high: float) -> None:
    """Reference: Newcombe 1998, table II, method 10."""
    result = compare_shares(*counts)
    assert (result.low, result.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("counts", [(10, 10, 5, 10), (7, 10, 3, 12), (2, 9, 9, 10), (5, 5, 0, 5), (3, 8, 3, 8)])
def test_boschloo_is_that_of_scipy(counts: tuple[int, int, int, int]) -> None:
    """Reference: scipy.stats.boschloo_exact, which looks for the largest chance by sampling; ours is as large."""
    solved_a, runs_a, solved_b, runs_b = counts
    table = [[solved_a, solved_b], [runs_a - solved_a, runs_b - solved_b]]
    reference = stats.boschloo_exact(table, n=64).pvalue
    assert compare_shares(*counts).p == pytest.approx(reference, abs=2e-6)


def test_boschloo_finds_what_fisher_does_not() -> None:
    """Must differ: 10 of 10 against 6 of 10 is 0.042, Fisher's 0.087; it is nowhere above Fisher's doubled p."""
    assert compare_shares(10, 10, 6, 10).p < 0.05 < stats.fisher_exact([[10, 6], [0, 4]]).pvalue
    counts = np.arange(9)
    fisher = stats.hypergeom.sf(counts[:, None] - 1, 16, 8, counts[:, None] + counts)
    assert (boschloo_table(8, 8) <= fisher + 1e-12).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wilson(1, 0), "runs=0"),
        (lambda: wilson(3, 2), "solved=3"),
        (lambda: compare_shares(3, 2, 0, 2), "solved_a=3"),
        (lambda: compare_shares(0, 0, 0, 2), "runs_a=0"),
        (lambda: compare_shares(0, 201, 0, 2), "up to 200 runs"),
    ],
)
def test_impossible_counts_are_refused(call: object, message: str) -> None:
    """Each message names the number."""
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]


def test_a_table_of_two_numbers_is_made_once_and_is_not_written_to() -> None:
    """Must match: the same table for the same numbers; must differ: for the two the other way round."""
    table = boschloo_table(7, 5)
    assert boschloo_table(7, 5) is table
    assert boschloo_table(5, 7).shape == (6, 8) != table.shape == (8, 6)
    with pytest.raises(ValueError, match="read-only"):
        table[0, 0] = 0.0
