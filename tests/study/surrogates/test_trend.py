"""The slope of a score along a covariate."""

import numpy as np
import pytest
from scipy import stats

from sgbench.errors import InputError
from sgbench.statistics.pairs import holm
from study.surrogates.analysis.hypotheses import trend

REST = np.array([0.0, 0.06, 0.11, 0.20, 0.30, 0.33])


def test_one_slope_a_seed_and_t_over_seeds(random: np.random.Generator) -> None:
    """Reference: scipy's linregress of each seed and ttest_1samp of the slopes."""
    scores = random.normal(size=(6, 7)) - 5 * REST[:, None]
    result = trend(scores, REST)
    slopes = [stats.linregress(REST, seed).slope for seed in scores.T]
    reference = stats.ttest_1samp(slopes, 0)
    assert result.by_seed == pytest.approx(slopes)
    assert result.slope == pytest.approx(np.mean(slopes))
    assert result.p == pytest.approx(reference.pvalue)
    assert (result.low, result.high) == pytest.approx(tuple(reference.confidence_interval()))


def test_a_trend_is_found_where_no_pair_is() -> None:
    """Must differ: a slope of 3 standard deviations a unit is clear, and no pair is after Holm's correction."""
    random = np.random.default_rng(1)
    scores = random.normal(size=(6, 5)) - 5 * REST[:, None]
    pairs = [stats.ttest_rel(scores[i], scores[j]).pvalue for i in range(6) for j in range(i)]
    assert trend(scores, REST).p < 0.05 < holm(np.array(pairs)).min()


def test_a_regression_on_all_runs_is_another_test(random: np.random.Generator) -> None:
    """Must differ: runs of one seed are no independent runs, so linregress on all of them has another p."""
    scores = random.normal(size=(6, 7)) + 5 * random.normal(size=7)
    pooled = stats.linregress(np.repeat(REST, 7), scores.ravel())
    result = trend(scores, REST)
    assert result.slope == pytest.approx(pooled.slope)
    assert abs(result.p - pooled.pvalue) > 0.05


@pytest.mark.parametrize(
    ("covariate", "message"), [([0.1, 0.2], "each of 3"), ([1, 1, 1], "different"), ([0, 1, np.nan], "finite")]
)
def test_covariates_that_give_no_slope_are_refused(covariate: list[float], message: str) -> None:
    """One for each method, finite, not all equal."""
    with pytest.raises(InputError, match=message):
        trend(np.eye(3), covariate)
