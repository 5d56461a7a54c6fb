"""An effect over tasks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sgbench.errors import InputError
from sgbench.statistics.random_effects import dersimonian_laird, hartung_knapp, paule_mandel, random_effects

VACCINE = np.array(
    [
        [4, 119, 11, 128],
        [6, 300, 29, 274],
        [3, 228, 11, 209],
        [62, 13536, 248, 12619],
        [33, 5036, 47, 5761],
        [180, 1361, 372, 1079],
        [8, 2537, 10, 619],
        [505, 87886, 499, 87892],
        [29, 7470, 45, 7232],
        [17, 1699, 65, 1600],
        [186, 50448, 141, 27197],
        [5, 2493, 3, 2338],
        [27, 16886, 29, 17825],
    ]
)
"""Ill and well of the vaccinated and of the others in 13 trials: Colditz et al. 1994, JAMA 271(9)."""


def log_risk_ratios() -> tuple[np.ndarray, np.ndarray]:
    """Effects and sampling variances of the trials."""
    ill, well, others_ill, others_well = VACCINE.T
    vaccinated, others = ill + well, others_ill + others_well
    effects = np.log(ill / vaccinated) - np.log(others_ill / others)
    return effects, 1 / ill - 1 / vaccinated + 1 / others_ill - 1 / others


def test_published_trials_have_their_published_spread() -> None:
    """Reference: metafor (R): Q = 152.233, tau^2 = 0.3088 (DL) and 0.3181 (PM), mean -0.7141 (DL)."""
    effects, variances = log_risk_ratios()
    result = random_effects(effects, np.sqrt(variances), estimator="dersimonian_laird")
    assert result.q == pytest.approx(152.2330, abs=5e-5)
    assert result.tau_squared == pytest.approx(0.3088, abs=5e-5)
    assert result.mean == pytest.approx(-0.7141, abs=5e-5)
    assert paule_mandel(effects, variances) == pytest.approx(0.3181, abs=5e-5)


def test_published_trials_have_hartung_and_knapps_error() -> None:
    """Reference: metafor (R), test="knha", REML's tau^2 of 0.3132: -0.7145, error 0.1807, ends -1.1084, -0.3206."""
    mean, error = hartung_knapp(*log_risk_ratios(), 0.3132)
    half = stats.t.ppf(0.975, 12) * error
    assert (mean, error) == pytest.approx((-0.7145, 0.1807), abs=1e-4)
    assert (mean - half, mean + half) == pytest.approx((-1.1084, -0.3206), abs=2e-4)


def test_equal_errors_make_it_a_t_test_over_tasks() -> None:
    """With equal errors tau^2 is the variance over tasks less the sampling variance, and the interval t's."""
    effects = np.array([0.5, 1.5, -0.5, 2.0, 3.0])
    reference = stats.ttest_1samp(effects, 0)
    for estimator in ("paule_mandel", "dersimonian_laird"):
        result = random_effects(effects, np.full(5, 0.3), estimator=estimator)
        assert result.tau_squared == pytest.approx(effects.var(ddof=1) - 0.09)
        assert result.p == pytest.approx(reference.pvalue)
        assert (result.low, result.high) == pytest.approx(tuple(reference.confidence_interval()))
        reach = stats.t.ppf(0.975, 3) * np.sqrt(result.tau_squared + result.error**2)
        assert result.predicted_high - result.mean == pytest.approx(reach)


def test_estimators_differ_where_errors_do() -> None:
    """Must differ: unequal errors; Paule and Mandel's solves its own equation and the other does not."""
    effects, variances = log_risk_ratios()
    for tau_squared, solves in (
        (paule_mandel(effects, variances), True),
        (dersimonian_laird(effects, variances), False),
    ):
        weight = 1 / (variances + tau_squared)
        mean = weight @ effects / weight.sum()
        assert (weight @ (effects - mean) ** 2 == pytest.approx(12, abs=1e-6)) == solves


def test_tasks_that_do_not_differ_have_no_spread() -> None:
    """Q below its degrees of freedom: tau^2 is 0 and the mean that of inverse variances."""
    effects, errors = np.array([1.0, 1.1, 0.9]), np.array([1.0, 2.0, 1.0])
    result = random_effects(effects, errors)
    assert result.tau_squared == 0
    assert result.mean == pytest.approx((1.0 + 1.1 / 4 + 0.9) / 2.25)


def test_the_prediction_is_wider_than_the_interval_of_the_mean() -> None:
    """Must differ: a new task scatters by tau round the mean; two tasks predict nothing."""
    result = random_effects([0.0, 2.0, 4.0, 6.0], [0.1] * 4)
    assert result.predicted_low < result.low
    assert result.predicted_high > result.high
    assert random_effects([0.0, 2.0], [0.1, 0.1]).predicted_low is None


@pytest.mark.parametrize(
    ("effects", "errors", "message"),
    [
        ([1.0], [1.0], "at least 2 tasks"),
        ([1.0, 2.0], [1.0], "one of each"),
        ([1.0, 2.0], [1.0, 0.0], "above 0 is needed of task 1"),
        ([1.0, np.nan], [1.0, 1.0], "effects"),
    ],
)
def test_effects_without_errors_are_refused(effects: list, errors: list, message: str) -> None:
    """Each message names what is missing."""
    with pytest.raises(InputError, match=message):
        random_effects(effects, errors)


def test_unknown_estimator_is_refused() -> None:
    """The message lists the two that there are."""
    with pytest.raises(InputError, match="paule_mandel, dersimonian_laird"):
        random_effects([1.0, 2.0], [1.0, 1.0], estimator="reml")  # type: ignore[arg-type]
