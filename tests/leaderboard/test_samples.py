"""Two methods on the same samples, against a textbook, scipy and simulation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from sgbench.statistics.same_samples import bootstrap_samples, mcnemar


def runs(both: int, only_a: int, only_b: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Two runs with these counts."""
    a = [True] * (both + only_a) + [False] * (only_b + neither)
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return np.array(a), np.array(b)


def test_mcnemar_of_the_textbook() -> None:
    """Textbook: Agresti 1990, p. 350: 86 and 150 voters changed their mind, exact p = 3.716e-05 (binomial)."""
    found = mcnemar(*runs(794, 150, 86, 570))
    assert (found.only_a, found.only_b) == (150, 86)
    assert found.p == pytest.approx(scipy.stats.binomtest(86, 236).pvalue)
    assert found.p == pytest.approx(3.716e-05, rel=1e-3)


def test_mcnemar_without_disagreement() -> None:
    """By hand: the same answers say nothing."""
    assert mcnemar(*runs(5, 0, 0, 5)).p == 1.0


def test_bootstrap_is_the_normal_interval_of_many_samples() -> None:
    """Reference: with 4000 samples the percentile interval is mean +- 1.96 standard errors of the gain."""
    random = np.random.default_rng(3)
    a, b = random.random((2, 4000)) < 0.9, random.random((2, 4000)) < 0.85
    gain = a.mean(axis=0) - b.mean(axis=0)
    low, high = bootstrap_samples(a, b, generator=np.random.default_rng(0))
    error = gain.std(ddof=1) / 4000**0.5
    assert (low, high) == pytest.approx((gain.mean() - 1.96 * error, gain.mean() + 1.96 * error), abs=2e-4 * 2)


def test_bootstrap_is_paired() -> None:
    """Must differ: equal runs have an interval of no width, whatever the samples; unequal ones do not."""
    a = np.random.default_rng(4).random((1, 300)) < 0.5
    assert bootstrap_samples(a, a, generator=np.random.default_rng(0)) == (0.0, 0.0)
    low, high = bootstrap_samples(a, ~a, generator=np.random.default_rng(0))
    assert high - low > 0.1


def test_same_generator_same_interval() -> None:
    """Property: the generator is the only source of chance."""
    a, b = runs(50, 20, 10, 20)
    first, second, other = (
        bootstrap_samples(a[None], b[None], generator=np.random.default_rng(seed), resamples=200) for seed in (0, 0, 1)
    )
    assert first == second != other
