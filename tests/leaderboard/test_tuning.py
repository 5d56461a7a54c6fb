"""Statistics of tuning, against enumeration and computations by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sgbench.statistics.tuning_curves import (
    Trial,
    best_band,
    best_cells,
    expected_best,
    failed_share,
    slope_sensitivity,
)


def trial(validation: float, test: float, slope: float | None = None, *, runs: int = 1, failed: int = 0) -> Trial:
    """One setting."""
    return Trial(validation, test, slope, runs, failed)


def test_expected_best_is_the_mean_over_all_subsets() -> None:
    """Reference: for each n, the best on validation of every subset of that size, averaged."""
    random = np.random.default_rng(0)
    trials = [trial(*random.random(2)) for _ in range(7)]
    validation, test = expected_best(trials)
    for n in range(1, 8):
        picks = [max(subset, key=lambda each: each.validation) for subset in itertools.combinations(trials, n)]
        assert validation[n - 1] == pytest.approx(np.mean([pick.validation for pick in picks]))
        assert test[n - 1] == pytest.approx(np.mean([pick.test for pick in picks]))


def test_test_scores_are_those_of_what_validation_selects() -> None:
    """Must differ: a lucky test score that validation does not pick is never reported."""
    _, test = expected_best([trial(0.9, 0.5), trial(0.1, 1.0)])
    assert test[-1] == pytest.approx(0.5)


def test_plug_in_estimate_is_too_low() -> None:
    """Must differ: Dodge's formula, sum of v_(i) ((i/N)^n - ((i-1)/N)^n), stays below the best of all N."""
    scores = [0.1, 0.5, 0.9]
    plug_in = sum(v * ((i / 3) ** 3 - ((i - 1) / 3) ** 3) for i, v in enumerate(scores, start=1))
    validation, _ = expected_best([trial(score, score) for score in scores])
    assert validation[-1] == pytest.approx(0.9)
    assert plug_in < 0.8


def test_slope_sensitivity_by_hand() -> None:
    """By hand: scores 0.5, 0.9, 0.7 at slopes 1, 10, 1000: (0.7 x 1 + 0.8 x 2) / 3 decades; in any order."""
    trials = [trial(0.5, 0.5, 1.0), trial(0.7, 0.7, 1000.0), trial(0.9, 0.9, 10.0), trial(0.1, 0.99, 10.0)]
    assert slope_sensitivity(trials) == pytest.approx((0.7 * 1 + 0.8 * 2) / 3)
    assert slope_sensitivity(trials[:1]) is None
    assert slope_sensitivity([trial(0.5, 0.5)] * 3) is None


def test_best_cells_are_those_of_validation() -> None:
    """By hand: of twelve, the ten that validation prefers, whatever their test score."""
    trials = [trial(index / 100, 1 - index / 100) for index in range(12)]
    assert best_cells(trials) == pytest.approx(np.mean([1 - index / 100 for index in range(2, 12)]))
    assert best_cells(trials[:2]) == pytest.approx(0.995)


def test_failed_share_counts_runs() -> None:
    """By hand: one of three and two of two failed."""
    assert failed_share([trial(0.5, 0.5, runs=3, failed=1), trial(0.1, 0.1, runs=2, failed=2)]) == 0.6


def test_ties_of_validation_are_broken_by_nothing_that_the_test_says() -> None:
    """Reference: all orders of selection among equal validation scores, averaged; must differ: the best test."""
    trials = [trial(0.9, 0.2), trial(0.9, 0.8), trial(0.9, 0.5), trial(0.4, 1.0), trial(0.4, 0.0)]
    orders = [*itertools.permutations(trials)]
    for n in range(1, 6):
        picks = [max(order[:n], key=lambda each: each.validation).test for order in orders]
        assert expected_best(trials)[1][n - 1] == pytest.approx(np.mean(picks))
        taken = [sorted(order, key=lambda each: -each.validation)[:n] for order in orders]
        assert best_cells(trials, count=n) == pytest.approx(
            np.mean([np.mean([each.test for each in cells]) for cells in taken])
        )
    tied = [trial(0.5, 0.2, 1.0), trial(0.5, 0.6, 1.0), trial(0.5, 0.6, 10.0)]
    assert slope_sensitivity(tied) == pytest.approx((0.4 + 0.6) / 2)


def test_the_band_shares_ties_within_each_draw() -> None:
    """Reference: `expected_best` of each draw itself, with the same draws, of settings that are tied."""
    trials = [trial(0.9, 0.2), trial(0.9, 0.8), trial(0.4, 1.0), trial(0.4, 0.1)]
    low, high = best_band(trials, np.random.default_rng(3), draws=50)
    ordered = sorted(trials, key=lambda each: each.validation)
    draws = np.random.default_rng(3).integers(4, size=(50, 4))
    curves = np.array([expected_best([ordered[place] for place in draw])[1] for draw in draws])
    assert np.allclose([low, high], np.quantile(curves, [0.1, 0.9], axis=0))
