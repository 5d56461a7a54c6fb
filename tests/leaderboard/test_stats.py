"""Means and intervals against a textbook, scipy, and computations by hand."""

from __future__ import annotations

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from sgbench.statistics.intervals import Summary, summarise

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
