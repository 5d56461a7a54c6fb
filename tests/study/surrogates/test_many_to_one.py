"""All methods against a reference."""

import numpy as np
import pytest
from scipy import stats

from sgbench.errors import InputError
from sgbench.statistics.blocks import contrast
from sgbench.statistics.pairs import holm
from study.surrogates.analysis.statistics.many_to_one import against_reference, dunnett_p, dunnett_quantile


@pytest.mark.parametrize(
    ("degrees", "row"),
    [
        (5, [2.57, 3.03, 3.29, 3.48, 3.62]),
        (10, [2.23, 2.57, 2.76, 2.89, 2.99]),
        (20, [2.09, 2.38, 2.54, 2.65, 2.73]),
        (60, [2.00, 2.27, 2.41, 2.51, 2.58]),
    ],
)
def test_quantiles_are_those_of_dunnetts_table(degrees: int, row: list[float]) -> None:
    """Reference: Dunnett 1964, table II (two sides, 95 %), one to five comparisons."""
    assert [round(dunnett_quantile(0.95, count, degrees), 2) for count in range(1, 6)] == row


def test_p_values_are_those_of_scipy_in_one_way_layouts(random: np.random.Generator) -> None:
    """Reference: scipy.stats.dunnett, whose integral is by random lattice, to 1e-3."""
    control, *samples = random.normal(size=(5, 8)) + np.array([[0], [0], [0.5], [1], [1.5]])
    reference = stats.dunnett(*samples, control=control, random_state=np.random.default_rng(1))
    assert dunnett_p(reference.statistic, 4, 35) == pytest.approx(reference.pvalue, abs=1e-3)


def test_p_value_is_that_of_the_multivariate_t() -> None:
    """Reference: scipy.stats.multivariate_t with correlations of 1/2, to 1e-3."""
    shape = np.full((3, 3), 0.5) + np.eye(3) / 2
    law = stats.multivariate_t(shape=shape, df=12, seed=2)
    inside = law.cdf(np.full(3, 2.3), lower_limit=np.full(3, -2.3))
    assert dunnett_p(2.3, 3, 12) == pytest.approx(1 - inside, abs=1e-3)


def test_one_comparison_is_student_and_many_lie_between_student_and_bonferroni() -> None:
    """Reference: scipy's t; the correction is real and smaller than Bonferroni's."""
    single = 2 * stats.t.sf(2.5, 12)
    assert dunnett_p(2.5, 1, 12) == pytest.approx(single, abs=1e-12)
    assert single < dunnett_p(2.5, 5, 12) < 5 * single
    assert dunnett_quantile(0.95, 1, 12) == pytest.approx(stats.t.ppf(0.975, 12))


def test_pooled_comparisons_have_matching_intervals(random: np.random.Generator) -> None:
    """An interval excludes 0 exactly where its p-value is below 5 %, and is that of the pooled contrast."""
    scores = random.normal(size=(6, 8)) + np.linspace(0, 2.5, 6)[:, None]
    rows = against_reference(scores, error="pooled")
    assert [row.method for row in rows] == [1, 2, 3, 4, 5]
    assert {row.p < 0.05 for row in rows} == {True, False}
    for row in rows:
        assert (row.low > 0 or row.high < 0) == (row.p < 0.05)
        weights = [-1.0] + [float(method == row.method) for method in range(1, 6)]
        pooled = contrast(scores, weights, error="pooled")
        assert (row.difference, row.error, row.degrees) == (pooled.estimate, pooled.error, 35)


def test_paired_comparisons_are_holms(random: np.random.Generator) -> None:
    """Reference: scipy's paired t-tests with Holm's correction, and Bonferroni's intervals."""
    scores = random.normal(size=(4, 6)) + np.arange(4)[:, None]
    rows = against_reference(scores, reference=2)
    others = (0, 1, 3)
    p = holm(np.array([stats.ttest_rel(scores[other], scores[2]).pvalue for other in others]))
    assert [row.p for row in rows] == pytest.approx(list(p))
    for row, other in zip(rows, others, strict=True):
        interval = stats.ttest_rel(scores[other], scores[2]).confidence_interval(1 - 0.05 / 3)
        assert (row.low, row.high) == pytest.approx(tuple(interval))


def test_methods_without_spread_have_no_interval() -> None:
    """Equal scores everywhere: p = 1, no ends, with either error."""
    for error in ("paired", "pooled"):
        rows = against_reference(np.zeros((3, 5)), error=error)
        assert {(row.p, row.low) for row in rows} == {(1.0, None)}


@pytest.mark.parametrize("reference", [-1, 3])
def test_reference_must_be_a_row(reference: int) -> None:
    """The message says which rows there are."""
    with pytest.raises(InputError, match="0 to 2"):
        against_reference(np.eye(3), reference=reference)
