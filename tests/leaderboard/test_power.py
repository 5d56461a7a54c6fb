"""What seeds can show, against textbooks and simulation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from sgbench.statistics.equivalence import detectable_difference, pairs_needed, power_of_paired_test, seeds_needed


@pytest.mark.parametrize(("gamma", "pairs"), [(0.70, 46), (0.75, 29), (0.80, 21)])
def test_noether(gamma: float, pairs: int) -> None:
    """Textbook: Bouthillier et al. 2021 (arXiv:2103.03098) give 29 pairs for gamma = 0.75, alpha = beta = 0.05."""
    assert pairs_needed(gamma) == pairs
    assert pairs_needed(1 - gamma) == pairs


@pytest.mark.parametrize(("effect", "n"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_sample_sizes_of_cohen(effect: float, n: int) -> None:
    """Textbook: pairs for 80 % power at 5 %, two-sided (G*Power 3.1, difference between two dependent means)."""
    assert seeds_needed(effect, 1.0) == n
    assert power_of_paired_test(effect, n) >= 0.8 > power_of_paired_test(effect, n - 1)


def test_power_by_simulation() -> None:
    """Simulation: scipy's paired test finds 1.5 standard deviations with five seeds as often as predicted."""
    samples = np.random.default_rng(2).normal(1.5, 1.0, (20_000, 5))
    found = (scipy.stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05).mean()
    assert power_of_paired_test(1.5, 5) == pytest.approx(found, abs=0.01)


@pytest.mark.one_in(10)
@pytest.mark.parametrize(("effect", "n"), [(0.8, 3), (0.3, 2), (0.2, 3), (0.1, 5), (1.0, 5), (0.05, 40)])
def test_power_has_both_tails(effect: float, n: int) -> None:
    """Quadrature of the definition: a standard normal plus delta sqrt(n), over an independent chi over its root.

    Without the far tail n = 3 at an effect of 0.8 has .1333 for .1349.
    """
    centre, bound = effect * np.sqrt(n), scipy.stats.t.ppf(0.975, n - 1)

    def beyond(spread: float) -> float:
        reach = bound * spread / np.sqrt(n - 1)
        outside = scipy.stats.norm.sf(reach, centre) + scipy.stats.norm.cdf(-reach, centre)
        return float(outside * scipy.stats.chi.pdf(spread, n - 1))

    expected, _ = scipy.integrate.quad(beyond, 0, np.inf, epsabs=1e-12)
    assert power_of_paired_test(effect, n) == pytest.approx(expected, abs=1e-9)


def test_power_is_a_number_for_every_effect() -> None:
    """Reference: the noncentral F of one degree, whose one tail is both of t; SciPy's t is NaN at some of these."""
    for n in (2, 3, 5, 10, 20, 41, 60):
        bound = scipy.stats.t.ppf(0.975, n - 1) ** 2
        for centre in np.linspace(0.1, 30, 300):
            expected = 1 - scipy.special.ncfdtr(1, n - 1, centre**2, bound)
            assert power_of_paired_test(centre / np.sqrt(n), n) == pytest.approx(expected, abs=1e-9)
    assert seeds_needed(7.76, 1.0) == 3
    assert power_of_paired_test(1000.0, 20) == 1.0


def test_detectable_difference_is_the_inverse() -> None:
    """Property: the least difference that is found in 8 of 10 cases has a power of 0.8; in units of the spread."""
    least = detectable_difference(0.014, 5)
    assert power_of_paired_test(least / 0.014, 5) == pytest.approx(0.8, abs=1e-6)
    assert seeds_needed(least * 1.0001, 0.014) == 5


@pytest.mark.parametrize("effect", [0.0297, 0.0285])
def test_seeds_between_the_last_power_of_two_and_ten_thousand(effect: float) -> None:
    """Reference: the noncentral F of one degree has a power of 0.8 at this count, and not at one less."""
    n = seeds_needed(effect, 1.0)
    assert n is not None
    assert 8192 < n <= 10_000
    bounds = [scipy.stats.t.ppf(0.975, count - 1) ** 2 for count in (n - 1, n)]
    fewer, enough = (
        1 - scipy.special.ncfdtr(1, count - 1, effect**2 * count, bound)
        for count, bound in zip((n - 1, n), bounds, strict=True)
    )
    assert fewer < 0.8 <= enough
    assert seeds_needed(0.0279, 1.0) is None  # 10,085 by the normal distribution, (1.960 + 0.842)^2 / 0.0279^2


def test_ends() -> None:
    """By hand: nothing is found by no number of seeds; without spread two are enough; tiny effects have no end."""
    assert seeds_needed(0.0, 1.0) is None
    assert seeds_needed(0.1, 0.0) == 2
    assert seeds_needed(1e-4, 1.0) is None
    assert power_of_paired_test(0, 5) == pytest.approx(0.05, rel=1e-12)
