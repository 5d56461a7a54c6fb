"""The block model, contrasts and the guard against pooling."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sgbench.errors import InputError
from sgbench.statistics.blocks import contrast, contrast_from
from study.surrogates.analysis.statistics.block_model import fit_blocks, poolable

PENICILLIN = [[89, 84, 81, 87, 79], [88, 77, 87, 92, 81], [97, 92, 87, 89, 80], [94, 79, 85, 84, 88]]


def test_block_model_of_a_published_experiment() -> None:
    """Box, Hunter & Hunter 1978, table 7.1: residual 18.83 on 12 degrees of freedom, F = 1.24."""
    model = fit_blocks(PENICILLIN)
    assert model.means == (84.0, 85.0, 89.0, 86.0)
    assert model.variance == pytest.approx(226 / 12)
    assert model.degrees == 12
    assert model.f == pytest.approx((70 / 3) / (226 / 12))
    assert model.p == pytest.approx(stats.f.sf(model.f, 3, 12))


def test_residual_is_that_of_least_squares(random: np.random.Generator) -> None:
    """Reference: numpy's least squares on indicator columns of methods and seeds."""
    scores = random.normal(size=(4, 6))
    columns = [np.kron(np.eye(4), np.ones((6, 1))), np.kron(np.ones((4, 1)), np.eye(6))]
    design = np.hstack(columns)
    solution = np.linalg.lstsq(design, scores.ravel(), rcond=None)[0]
    residual = scores.ravel() - design @ solution
    assert fit_blocks(scores).variance == pytest.approx(residual @ residual / 15)


def test_epsilon_is_that_of_orthonormal_contrasts(random: np.random.Generator) -> None:
    """By eigenvalues of the covariance of Helmert contrasts: the square of their sum over that of their squares."""
    scores = random.normal(size=(5, 8)) * np.array([[1], [1], [3], [1], [2]])
    helmert = np.array([[1.0] * row + [-row] + [0.0] * (4 - row) for row in range(1, 5)])
    helmert /= np.linalg.norm(helmert, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(np.cov(helmert @ scores))
    assert fit_blocks(scores).epsilon == pytest.approx(values.sum() ** 2 / 4 / (values**2).sum())


def test_two_methods_are_the_paired_t_test_whatever_the_error(random: np.random.Generator) -> None:
    """Reference: scipy's ttest_rel; F is t squared and both errors are one."""
    scores = random.normal(size=(2, 7))
    reference = stats.ttest_rel(*scores)
    assert fit_blocks(scores).p == pytest.approx(reference.pvalue)
    for error in ("paired", "pooled"):
        result = contrast(scores, [1, -1], error=error)
        interval = reference.confidence_interval()
        assert (result.p, result.low, result.high) == pytest.approx((reference.pvalue, *interval))


def test_pooled_is_not_the_paired_t_test_of_three_methods(random: np.random.Generator) -> None:
    """By hand from the residual of all three; a noisy third method moves the pooled p-value alone."""
    scores = random.normal(size=(3, 6))
    noisy = scores * np.array([[1], [1], [10]])
    paired, pooled = (contrast(scores, [1, -1, 0], error=error) for error in ("paired", "pooled"))
    assert paired.p == pytest.approx(stats.ttest_rel(scores[0], scores[1]).pvalue)
    assert pooled.degrees == 10
    assert pooled.error == pytest.approx(math.sqrt(fit_blocks(scores).variance * 2 / 6))
    assert abs(pooled.p - paired.p) > 1e-3
    assert contrast(noisy, [1, -1, 0]).p == pytest.approx(paired.p)
    assert contrast(noisy, [1, -1, 0], error="pooled").p > pooled.p


def test_a_seed_that_lifts_all_methods_changes_nothing(random: np.random.Generator) -> None:
    """Blocks: adding any constant to a seed leaves contrast, error and F."""
    scores = random.normal(size=(4, 5))
    lifted = scores + np.array([100.0, -50, 3, 0, 7])
    assert fit_blocks(lifted).f == pytest.approx(fit_blocks(scores).f)
    for error in ("paired", "pooled"):
        assert contrast(lifted, [1, 0, 0, -1], error=error).p == pytest.approx(
            contrast(scores, [1, 0, 0, -1], error=error).p
        )


def test_without_spread_signs_count() -> None:
    """Five equal differences have p = 2 / 2^5 and no interval; methods that are all one do not differ."""
    result = contrast([[1.0] * 5, [0.0] * 5], [1, -1])
    assert (result.p, result.low, result.high) == (2 / 2**5, None, None)
    assert contrast_from(0.0, 0.0, 4, 5).p == 1.0
    assert fit_blocks([[1.0] * 5, [1.0] * 5]).p == 1.0
    assert fit_blocks([[1.0] * 5, [2.0] * 5]).f == math.inf


def test_guard_sees_unequal_variances_and_not_equal_ones() -> None:
    """A method ten times as noisy is seen at ten seeds; equal noise is refused in a tenth of 200 tables."""
    random = np.random.default_rng(3)
    noisy = random.normal(size=(6, 10)) * np.array([[1], [1], [1], [1], [1], [10]])
    guard = poolable(noisy, generator=random)
    assert not guard.trustworthy
    assert guard.largest_ratio > 2
    assert guard.smallest_ratio < 0.5
    refused = [not poolable(random.normal(size=(6, 10)), generator=random, draws=99).trustworthy for _ in range(200)]
    assert np.mean(refused) == pytest.approx(0.1, abs=3 * math.sqrt(0.09 / 200))


def test_guard_is_reproducible_and_needs_three_methods(random: np.random.Generator) -> None:
    """The generator decides: same seed, same p."""
    scores = random.normal(size=(4, 6))
    guards = [poolable(scores, generator=np.random.default_rng(5)) for _ in range(2)]
    assert guards[0] == guards[1]
    with pytest.raises(InputError, match="at least 3 methods"):
        poolable(scores[:2], generator=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([[1.0, math.nan], [1.0, 2.0]], r"1 of 4 values are missing or not finite, the first at \[0, 1\]"),
        ([[1.0, None], [1.0, 2.0]], "count a failed run at chance"),
        ([[1.0, 2.0], [1.0]], "rows of equal length"),
        ([[1.0], [2.0]], "at least 2 methods and 2 seeds"),
        ([["a", "b"], ["c", "d"]], "numbers"),
    ],
)
def test_incomplete_tables_are_refused(scores: list, message: str) -> None:
    """A missing run is an error with its place, never a shorter table."""
    with pytest.raises(InputError, match=message):
        fit_blocks(scores)


@pytest.mark.parametrize("weights", [[1, 1], [0, 0], [1, -1, 0], [[1, -1]]])
def test_weights_that_are_no_contrast_are_refused(weights: list) -> None:
    """Weights sum to 0, are not all 0, and there is one for each method."""
    with pytest.raises(InputError, match="weights"):
        contrast([[1.0, 2.0], [2.0, 4.0]], weights)


def test_unknown_error_term_is_refused() -> None:
    """The message lists the two that there are."""
    with pytest.raises(InputError, match="paired, pooled"):
        contrast([[1.0, 2.0], [2.0, 4.0]], [1, -1], error="welch")  # type: ignore[arg-type]
