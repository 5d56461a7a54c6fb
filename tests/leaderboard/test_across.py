"""Methods across tasks, against Demsar's worked example, scipy and simulation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from sgbench.leaderboard.score import Measure
from sgbench.statistics.across_tasks import interquartile_interval, interquartile_mean, performance_profile, rank_test

DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ]
)
"""Demsar 2006, JMLR 7, Table 6: area under the curve of C4.5 and its three variants on fourteen data sets.

Printed with three digits; its ranks of the row before the last tell 0.975 from 0.975.
"""


def test_demsar() -> None:
    """Textbook: mean ranks 3.143, 2.000, 2.893, 1.964, F = 3.69, critical difference 1.25 (Demsar 2006, 3.2.2).

    His chi-squared of 9.28 leaves out the correction for ties; scipy's has it, and so has ours.
    """
    found = rank_test(DEMSAR)
    assert found.mean_ranks == pytest.approx((3.143, 2.0, 2.893, 1.964), abs=5e-4)
    assert found.critical_difference == pytest.approx(1.25, abs=5e-3)
    chi_without_ties = 12 * 14 / (4 * 5) * (sum(rank**2 for rank in found.mean_ranks) - 4 * 25 / 4)
    assert chi_without_ties == pytest.approx(9.28, abs=5e-3)
    assert 13 * chi_without_ties / (14 * 3 - chi_without_ties) == pytest.approx(3.69, abs=5e-3)
    assert found.chi_squared == pytest.approx(scipy.stats.friedmanchisquare(*DEMSAR.T).statistic)


def test_all_tasks_agree_or_none_differ() -> None:
    """By hand: perfect agreement has no chance; equal scores everywhere have no statistic."""
    agreed = rank_test(np.array([[3.0, 2.0, 1.0]] * 4))
    assert (agreed.mean_ranks, agreed.p) == ((1.0, 2.0, 3.0), 0.0)
    assert rank_test(np.ones((4, 3))).chi_squared == 0.0


def test_interquartile_mean_is_scipys_trimmed_mean() -> None:
    """Reference: scipy.stats.trim_mean with a quarter at each end, over all runs of all tasks."""
    random = np.random.default_rng(0)
    for sizes in ((5, 5, 5), (3, 4), (2,), (10, 10, 10, 1)):
        tasks = [random.normal(size=size) for size in sizes]
        expected = scipy.stats.trim_mean(np.concatenate(tasks), 0.25)
        assert interquartile_mean(tasks) == pytest.approx(expected)


def test_resampling_stays_within_tasks() -> None:
    """By hand: two constant tasks leave nothing to chance when seeds are drawn within each."""
    tasks = [np.full(5, 0.2), np.full(5, 0.8)]
    ends = interquartile_interval(tasks, generator=np.random.default_rng(0), resamples=50)
    assert ends == pytest.approx((0.5, 0.5))


def test_interval_is_that_of_scipy() -> None:
    """Reference: scipy.stats.bootstrap (percentile) of the trimmed mean of one task, to the noise of resampling."""
    values = np.random.default_rng(5).normal(0.9, 0.01, 20)
    ours = interquartile_interval([values], generator=np.random.default_rng(0))
    theirs = scipy.stats.bootstrap(
        (values,),
        lambda each, axis: scipy.stats.trim_mean(each, 0.25, axis=axis),
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=3e-4)


def test_profile_by_hand() -> None:
    """By hand: shares above 0, 0.5 and 1 of (1, 0.5) and (0.75,), the mean of the two tasks."""
    tasks = [np.array([1.0, 0.5]), np.array([0.75])]
    assert performance_profile(tasks, np.array([0.0, 0.5, 1.0])) == pytest.approx([1.0, 0.75, 0.0])


def test_normalised() -> None:
    """By hand: guessing is 0, perfection is 1, worse than guessing is negative."""
    assert Measure("accuracy", 1 / 2).normalised(np.array([0.5, 1.0, 0.25])) == pytest.approx([0.0, 1.0, -0.5])
