"""Seeds as blocks: residuals, and contrasts with either error."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sgbench.errors import InputError
from sgbench.statistics.blocks import contrast, contrast_from, residuals
from tests.statistics.many_tables import sphericity

PENICILLIN = [[89, 84, 81, 87, 79], [88, 77, 87, 92, 81], [97, 92, 87, 89, 80], [94, 79, 85, 84, 88]]


def test_residual_of_a_published_experiment() -> None:
    """Box, Hunter & Hunter 1978, table 7.1: residual 18.83 on 12 degrees of freedom."""
    assert (residuals(np.array(PENICILLIN, float)) ** 2).sum() / 12 == pytest.approx(226 / 12)
    pooled = contrast(PENICILLIN, [1, 0, 0, -1], error="pooled")
    assert (pooled.degrees, pooled.error) == (12, pytest.approx(math.sqrt(226 / 12 * 2 / 5)))


def test_residual_is_that_of_least_squares(random: np.random.Generator) -> None:
    """Reference: numpy's least squares on indicator columns of methods and seeds."""
    scores = random.normal(size=(4, 6))
    columns = [np.kron(np.eye(4), np.ones((6, 1))), np.kron(np.ones((4, 1)), np.eye(6))]
    design = np.hstack(columns)
    solution = np.linalg.lstsq(design, scores.ravel(), rcond=None)[0]
    residual = scores.ravel() - design @ solution
    assert residuals(scores).ravel() == pytest.approx(residual)


def test_epsilon_is_that_of_orthonormal_contrasts(random: np.random.Generator) -> None:
    """By eigenvalues of the covariance of Helmert contrasts: the square of their sum over that of their squares."""
    scores = random.normal(size=(5, 8)) * np.array([[1], [1], [3], [1], [2]])
    helmert = np.array([[1.0] * row + [-row] + [0.0] * (4 - row) for row in range(1, 5)])
    helmert /= np.linalg.norm(helmert, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(np.cov(helmert @ scores))
    assert sphericity(scores[None])[0] == pytest.approx(values.sum() ** 2 / 4 / (values**2).sum())


def test_two_methods_are_the_paired_t_test_whatever_the_error(random: np.random.Generator) -> None:
    """Reference: scipy's ttest_rel; both errors are one."""
    scores = random.normal(size=(2, 7))
    reference = stats.ttest_rel(*scores)
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
    assert pooled.error == pytest.approx(math.sqrt((residuals(scores) ** 2).sum() / 10 * 2 / 6))
    assert abs(pooled.p - paired.p) > 1e-3
    assert contrast(noisy, [1, -1, 0]).p == pytest.approx(paired.p)
    assert contrast(noisy, [1, -1, 0], error="pooled").p > pooled.p


def test_a_seed_that_lifts_all_methods_changes_nothing(random: np.random.Generator) -> None:
    """Blocks: adding any constant to a seed leaves contrast and error."""
    scores = random.normal(size=(4, 5))
    lifted = scores + np.array([100.0, -50, 3, 0, 7])
    for error in ("paired", "pooled"):
        assert contrast(lifted, [1, 0, 0, -1], error=error).p == pytest.approx(
            contrast(scores, [1, 0, 0, -1], error=error).p
        )


def test_without_spread_signs_count() -> None:
    """Five equal differences have p = 2 / 2^5 and no interval; methods that are all one do not differ."""
    result = contrast([[1.0] * 5, [0.0] * 5], [1, -1])
    assert (result.p, result.low, result.high) == (2 / 2**5, None, None)
    assert contrast_from(0.0, 0.0, 4, 5).p == 1.0


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
        contrast(scores, [1, -1])


@pytest.mark.parametrize("weights", [[1, 1], [0, 0], [1, -1, 0], [[1, -1]]])
def test_weights_that_are_no_contrast_are_refused(weights: list) -> None:
    """Weights sum to 0, are not all 0, and there is one for each method."""
    with pytest.raises(InputError, match="weights"):
        contrast([[1.0, 2.0], [2.0, 4.0]], weights)


def test_unknown_error_term_is_refused() -> None:
    """The message lists the two that there are."""
    with pytest.raises(InputError, match="paired, pooled"):
        contrast([[1.0, 2.0], [2.0, 4.0]], [1, -1], error="welch")  # type: ignore[arg-type]
