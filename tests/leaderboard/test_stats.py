"""Means, intervals and ranks against a textbook, scipy, and computations by hand."""

from __future__ import annotations

import math

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from sgbench.leaderboard.stats import Place, Summary, counted_accuracies, rank, summarise

SLEEP = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
"""Student 1908: hours of sleep gained by ten patients, the data of the first t-interval."""
ACCURACY = st.floats(0, 1).map(lambda value: round(value, 4))


def test_student_1908() -> None:
    """Textbook: mean 1.58, 95 % interval 0.7001 to 2.4599 (R's t.test on its data set `sleep`, paired)."""
    found = summarise(SLEEP)
    assert (found.mean, found.low, found.high) == pytest.approx((1.58, 0.7001142, 2.4598858), rel=1e-6)


@given(st.lists(ACCURACY, min_size=2, max_size=20, unique=True))
def test_interval_is_that_of_scipy(values: list[float]) -> None:
    """Reference: scipy.stats.t.interval on mean and standard error."""
    error = scipy.stats.sem(values)
    low, high = scipy.stats.t.interval(0.95, len(values) - 1, loc=sum(values) / len(values), scale=error)
    found = summarise(values)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


@given(st.lists(ACCURACY, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_order_of_seeds_changes_no_bit(values: list[float], random) -> None:
    """Property: sums are exact."""
    shuffled = [*values]
    random.shuffle(shuffled)
    assert summarise(shuffled) == summarise(values)


def test_one_seed_has_no_interval() -> None:
    """By definition: one value says nothing of its spread."""
    found = summarise([0.9])
    assert found == Summary(0.9, None, 1)
    assert found.low is None
    assert found.high is None


def test_equal_seeds_have_an_interval_of_no_width() -> None:
    """By hand: no spread, no width."""
    assert summarise([0.5, 0.5, 0.5]) == Summary(0.5, 0.0, 3)


def test_failed_seed_counts_as_guessing() -> None:
    """By hand: (0.96 + 0.1 + 0.94) / 3."""
    found = counted_accuracies([0.96, None, 0.94], classes=10)
    assert found == [0.96, 0.1, 0.94]
    assert summarise(found).mean == pytest.approx(2 / 3)


def test_ranks_by_hand() -> None:
    """By hand: a [88, 92], b [87, 91], c [85, 87.5] overlaps b but not a, d [60, 70] is below three."""
    places = rank(
        {
            "d": Summary(0.65, 0.05, 5),
            "b": Summary(0.89, 0.02, 5),
            "a": Summary(0.90, 0.02, 5),
            "c": Summary(0.8625, 0.0125, 5),
        }
    )
    assert places == {"a": Place(1, True), "b": Place(1, True), "c": Place(2, False), "d": Place(4, False)}


def test_one_seed_gives_no_place() -> None:
    """A method without an interval has no rank and pushes nobody down."""
    places = rank({"lucky": Summary(0.99, None, 1), "solid": Summary(0.9, 0.01, 5)})
    assert places == {"lucky": None, "solid": Place(1, False)}


def test_touching_intervals_tie() -> None:
    """By hand: 'entirely above' is strict."""
    places = rank({"a": Summary(0.75, 0.25, 5), "b": Summary(0.25, 0.25, 5)})
    assert places == {"a": Place(1, True), "b": Place(1, True)}


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.tuples(ACCURACY, ACCURACY), max_size=8))
def test_methods_of_one_rank_overlap(found: dict[str, tuple[float, float]]) -> None:
    """Property: equal ranks overlap, a better rank is never entirely below, and someone is first."""
    summaries = {name: Summary(mean, half, 5) for name, (mean, half) in found.items()}
    places = rank(summaries)
    for first, one in summaries.items():
        for second, other in summaries.items():
            a, b = places[first], places[second]
            assert a is not None
            assert b is not None
            entirely_above = (one.low or 0.0) > (other.high or 0.0) and not math.isclose(one.mean, other.mean)
            if entirely_above:
                assert a.rank < b.rank
            if first != second and a.rank == b.rank:
                assert a.tied
                assert not entirely_above
    assert not places or min(place.rank for place in places.values() if place) == 1
