"""Two methods against each other, against textbooks, scipy, and computations by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from sgbench.statistics.pairs import all_pairs, clopper_pearson, compare, holm, probability_of_improvement

SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
"""Student 1908: hours of sleep gained by ten patients with either drug (R's data set `sleep`)."""
SCORES = st.dictionaries(st.integers(0, 6), st.integers(0, 40).map(lambda hits: hits / 40), min_size=1)


def seeded(values: list[float], first: int = 0) -> dict[int, float]:
    """By seed."""
    return dict(enumerate(values, start=first))


def test_paired_test_of_student() -> None:
    """Textbook: t = -4.0621, df = 9, p = 0.002833, difference -1.58 (R's t.test(paired = TRUE) on `sleep`)."""
    found = compare(seeded(SLEEP_1), seeded(SLEEP_2))
    assert found.difference == pytest.approx(-1.58)
    assert found.p == pytest.approx(0.00283289, rel=1e-5)
    assert (found.low, found.high) == pytest.approx((-2.4598858, -0.7001142), rel=1e-6)
    assert found.shared == tuple(range(10))


def test_unpaired_test_of_welch() -> None:
    """Textbook: t = -1.8608, df = 17.776, p = 0.07939, ends -3.3654832 and 0.2054832 (R's t.test on `sleep`)."""
    found = compare(seeded(SLEEP_1), seeded(SLEEP_2, first=100))
    assert found.shared == ()
    assert found.p == pytest.approx(0.07939414, rel=1e-6)
    assert (found.low, found.high) == pytest.approx((-3.3654832, 0.2054832), rel=1e-6)


def test_pairing_matters() -> None:
    """Must differ: the same twenty numbers, paired and not."""
    paired = compare(seeded(SLEEP_1), seeded(SLEEP_2)).p or 1
    unpaired = compare(seeded(SLEEP_1), seeded(SLEEP_2, first=100)).p or 0
    assert paired < 0.01 < unpaired


def test_equal_differences_have_no_scale() -> None:
    """By hand: five equal differences are never surer than their signs, 2 / 2^5; no difference is none."""
    a = seeded([0.9, 0.91, 0.92, 0.93, 0.94])
    b = {seed: value - 1 / 360 for seed, value in a.items()}
    assert compare(a, b).p == pytest.approx(0.0625)
    assert compare(a, a).p == 1.0


def test_one_seed_has_no_test() -> None:
    """By definition: no spread, no test."""
    found = compare({0: 0.9}, {0: 0.8})
    assert (found.difference, found.low, found.p) == (pytest.approx(0.1), None, None)


@settings(max_examples=30)
@given(st.lists(SCORES, min_size=1, max_size=6))
def test_all_pairs_are_those_of_one_pair(methods: list[dict[int, float]]) -> None:
    """Property: the table for a board is the single comparison, pair by pair, whatever seeds are shared."""
    difference, p = all_pairs(methods)
    for place, (i, j) in enumerate(zip(*np.triu_indices(len(methods), 1), strict=True)):
        one = compare(methods[i], methods[j])
        assert difference[place] == pytest.approx(one.difference, abs=1e-12)
        assert p[place] == pytest.approx(math.nan if one.p is None else one.p, abs=1e-9, nan_ok=True)


def test_many_methods_fall_into_blocks() -> None:
    """Reference: scipy's ttest_rel for random pairs of 600 methods, more than one block holds."""
    table = np.random.default_rng(1).normal(0.9, 0.01, (600, 5))
    difference, p = all_pairs([seeded(list(row)) for row in table])
    first, second = np.triu_indices(600, 1)
    for place in (0, 598, 599, 100_000, len(p) - 1):
        a, b = table[first[place]], table[second[place]]
        assert p[place] == pytest.approx(scipy.stats.ttest_rel(a, b).pvalue, rel=1e-9)
        assert difference[place] == pytest.approx((a - b).mean())


def test_holm_by_hand() -> None:
    """By hand: sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, made monotone; what was not tested stays so."""
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.5, math.nan, 0.9])) == pytest.approx([1.0, math.nan, 1.0], nan_ok=True)


def test_holm_does_not_heed_the_order_of_equal_values() -> None:
    """Must match: many values with ties, and the same ones shuffled, each with its own result."""
    random = np.random.default_rng(0)
    p = random.choice([0.001, 0.004, 0.03, 0.2], size=300)
    shuffled = random.permutation(300)
    assert np.array_equal(holm(p[shuffled]), holm(p)[shuffled])
    assert len(set(zip(p, holm(p), strict=True))) == 4


def test_holm_keeps_the_family_wise_error() -> None:
    """Simulation: among ten true nulls some p-value is below 5 % in 5 % of 4000 families (error 0.35)."""
    random = np.random.default_rng(0)
    wrong = np.mean([holm(p).min() < 0.05 for p in random.uniform(size=(4000, 10))])
    assert wrong == pytest.approx(0.05, abs=0.0105)
    uncorrected = np.mean(random.uniform(size=(4000, 10)).min(axis=1) < 0.05)
    assert uncorrected > 0.35


def test_clopper_pearson_of_the_textbook() -> None:
    """Textbook: 10 of 20 is 0.2720 to 0.7280; 0 of 10 ends at 1 - 0.025^(1/10) = 0.3085 (R's binom.test)."""
    assert clopper_pearson(10, 20) == pytest.approx((0.2719578, 0.7280422), rel=1e-6)
    assert clopper_pearson(0, 10) == pytest.approx((0.0, 1 - 0.025**0.1))


@settings(max_examples=20)
@given(st.integers(1, 30).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_clopper_pearson_is_that_of_scipy(pair: tuple[int, int]) -> None:
    """Reference: scipy.stats.binomtest(...).proportion_ci(method="exact")."""
    expected = scipy.stats.binomtest(*pair).proportion_ci(method="exact")
    assert clopper_pearson(*pair) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_improvement_by_hand() -> None:
    """By hand: paired 3 wins, 1 tie, 1 loss of 5; unpaired U = 7 wins and a half of 9 (scipy's mannwhitneyu)."""
    a, b = seeded([0.9, 0.9, 0.9, 0.8, 0.7]), seeded([0.8, 0.8, 0.8, 0.8, 0.8])
    paired = probability_of_improvement(a, b)
    assert paired.probability == pytest.approx(0.7)
    assert (paired.low, paired.high) == pytest.approx((clopper_pearson(3, 5)[0], clopper_pearson(4, 5)[1]))
    x, y = [0.5, 0.7, 0.9], [0.4, 0.5, 0.6]
    unpaired = probability_of_improvement(seeded(x), seeded(y, first=10))
    assert unpaired.probability == pytest.approx(scipy.stats.mannwhitneyu(x, y).statistic / 9)
    assert unpaired.comparisons == 9
