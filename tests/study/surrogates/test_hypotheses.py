"""Hypotheses on networks without recurrence, on runs of a known truth, and the correction over all of them."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binomtest, linregress, ttest_1samp

from sgbench.study_runner.cells import Cell, StudyPoint
from sgbench.study_runner.scores import StudyScores
from study.reporting.run_table import SLOPE_AT_REST
from study.reporting.verdicts import HypothesisResult, corrected, one_side
from study.surrogates.analysis.comparisons import Rules
from study.surrogates.analysis.hypotheses import all_hypotheses, h1, h2, h3, h7
from tests.study.surrogates.hypothesis_cases import ONE_LAYER, RECURRENT, Bonus, generator, width
from tests.study.truth import Outcome, noise, scores


def one_layer(bonus: Bonus, spread: float = 0.4) -> StudyScores:
    """Runs of the map on tasks of one layer: 90 points, noise, and what is put in."""
    return scores(
        lambda run, settings: Outcome(90 + noise(run, spread) + bonus(run, settings)), ["A2"], tasks=ONE_LAYER
    )


def test_h1_equal_shapes_are_confirmed_against_scipy() -> None:
    """Oracle: two one-sided t-tests of scipy on means over the three widths, the largest of fifteen p-values."""
    table = one_layer(lambda run, settings: 0.0)
    result = h1(table, Rules())
    expected = 0.0
    for task, shape in itertools.product(ONE_LAYER, SLOPE_AT_REST):
        if shape == "atan":
            continue
        differences = []
        for seed in range(300, 305):
            means = [
                np.mean(
                    [
                        table.cell(task, "map", {"surrogate": name, "width_fwhm": wide}, start="A2")[seed].accuracy
                        for wide in (0.5, 1.0, 2.0)
                    ]
                )
                for name in (shape, "atan")
            ]
            differences.append(means[0] - means[1])
        sides = [ttest_1samp(differences, -2, alternative="greater"), ttest_1samp(differences, 2, alternative="less")]
        expected = max(expected, *(float(side.pvalue) for side in sides))
    assert result.p_confirmed == pytest.approx(expected)
    assert (result.alone, result.seeds, len(result.rows)) == ("confirmed", "5", 15)


def test_h1_one_shape_on_one_task_refutes() -> None:
    """Eight points put in at the three widths are shown; must differ: outside of them they change nothing."""
    inside = one_layer(lambda run, settings: -8.0 * (run.task == "T3" and settings["surrogate"] == "triangle"))
    assert h1(inside, Rules()).alone == "refuted"
    outside = one_layer(lambda run, settings: -8.0 * (settings["surrogate"] == "triangle" and width(settings) < 0.5))
    assert h1(outside, Rules()).alone == "confirmed"


def test_h1_noise_or_missing_runs_leave_it_open() -> None:
    """Neither is shown of five seeds with a spread of eight points; one missing run is said and decides nothing."""
    assert h1(one_layer(lambda run, settings: 0.0, spread=8.0), Rules()).alone == "open"
    whole = one_layer(lambda run, settings: 0.0)
    lost = next(run for run in whole.runs if run.task == "T3" and run.cell == {"surrogate": "atan", "width_fwhm": 1})
    result = h1(StudyScores(whole.study, whole.settled, [run for run in whole.runs if run is not lost]), Rules())
    assert (result.p, result.alone, result.seeds) == (None, "open", "1 runs missing (T3)")


def test_the_error_term_is_one_argument() -> None:
    """Must differ: the pooled error, with Dunnett's correction, gives other p-values for the same runs."""
    table = one_layer(lambda run, settings: 1.0 * (settings["surrogate"] == "log_abs"))
    paired, pooled = h1(table, Rules()), h1(table, Rules(error="pooled"))
    assert paired.p_confirmed != pooled.p_confirmed
    assert [row[2] for row in paired.rows] == pytest.approx([row[2] for row in pooled.rows])


def deep(learns: Callable[[StudyPoint, Cell], bool], task: str = "T2d4") -> StudyScores:
    """Four layers: 92 points for a run that learns, 10 for another."""
    return scores(
        lambda run, settings: Outcome((92 if learns(run, settings) else 10) + noise(run, 0.5)), ["A2"], tasks=[task]
    )


def test_h2_confirmed_refuted_and_open() -> None:
    """No triangle and every other run learns: confirmed. All learn: refuted. Half of the triangles: open."""
    result = h2(deep(lambda run, settings: settings["surrogate"] != "triangle"), Rules())
    assert result.alone == "confirmed"
    assert "triangle 0 of 30, atan 30 of 30" in result.why
    interval = binomtest(0, 10).proportion_ci(method="wilson")
    assert result.rows[0][2:] == (0, 10, 0.0, pytest.approx(interval.low), pytest.approx(interval.high))
    assert h2(deep(lambda run, settings: True), Rules()).alone == "refuted"
    half = deep(lambda run, settings: settings["surrogate"] != "triangle" or run.seed % 2 == 0)
    assert h2(half, Rules()).alone == "open"


@pytest.mark.parametrize("count", range(11))
def test_a_share_is_on_one_side_where_wilsons_interval_is(count: int) -> None:
    """Oracle: scipy's Wilson interval of 95 % excludes one half exactly where the p-value is at most .05."""
    interval = binomtest(count, 10).proportion_ci(method="wilson")
    assert (one_side(count, 10, above=True) <= 0.05) == (interval.low > 0.5)
    assert (one_side(count, 10, above=False) <= 0.05) == (interval.high < 0.5)


@pytest.mark.parametrize(("gap", "word"), [(0.0, "confirmed"), (-12.0, "refuted"), (-5.0, "open")])
def test_h3_a_gap_of_five_points(gap: float, word: str) -> None:
    """Nothing, twelve points and exactly the margin, with noise of half a point."""
    table = scores(
        lambda run, settings: Outcome(90 + noise(run, 0.5) + gap * (settings["surrogate"] == "triangle")),
        ["A2"],
        tasks=["T2d4g"],
    )
    assert h3(table, Rules()).alone == word


def spiking(sign: float, fails: bool = False, turned: str | None = None) -> StudyScores:
    """Spikes that fall with the slope at rest without recurrence and rise with it, or the other way round.

    Args:
        sign: -1 turns all slopes round.
        fails: whether one run fails.
        turned: one task whose slope is turned round and whose runs are noisier.
    """

    def truth(run: StudyPoint, settings: Cell) -> Outcome:
        if fails and run.task == "T4" and run.seed == 300:
            return Outcome(failed=True)
        slope = sign * (1.0 if run.task in RECURRENT else -1.0) * (-1.0 if run.task == turned else 1.0)
        noisy = noise(run, 0.06 if run.task == turned else 0.02)
        return Outcome(spikes=100 * np.exp(slope * SLOPE_AT_REST[str(settings["surrogate"])] + noisy))

    return scores(truth, ["A2"], tasks=(*ONE_LAYER, *RECURRENT))


def test_h7_against_scipy() -> None:
    """Oracle: scipy's slope of each seed and its t-test; signs put in are found, turned round they refute."""
    table = spiking(1.0)
    result = h7(table, Rules())
    assert result.alone == "confirmed"
    for task, slope, _, _, p, _ in result.rows:
        by_seed = [
            linregress(
                list(SLOPE_AT_REST.values()),
                [
                    table.cell(str(task), "map", {"surrogate": shape, "width_fwhm": 1.0}, start="A2")[seed].log_spikes
                    for shape in SLOPE_AT_REST
                ],
            ).slope
            for seed in range(300, 305)
        ]
        assert slope == pytest.approx(np.mean(by_seed))
        assert p == pytest.approx(float(ttest_1samp(by_seed, 0).pvalue))
    assert h7(spiking(-1.0), Rules()).alone == "refuted"
    one = h7(spiking(1.0, turned="T3"), Rules())
    assert one.p_refuted == max(row[5] for row in one.rows)  # type: ignore[type-var]
    assert one.alone == "refuted"


def test_h7_says_that_failed_runs_have_no_spikes() -> None:
    """Four seeds are fewer than the five from which an interval is stated."""
    result = h7(spiking(1.0, fails=True), Rules())
    assert (result.p, result.why) == (None, "on T4 a run failed or sent no spike in 1 of 5 seeds")


def test_the_correction_over_hypotheses_by_hand() -> None:
    """Holm of .01, .02 and .04 is .03, .04 and .04; what has no p-value is not counted; verdicts follow."""
    made = [
        HypothesisResult(name, "", "", "", p_confirmed=p, p_refuted=1.0)
        if p is not None
        else HypothesisResult(name, "", "", "")
        for name, p in (("a", 0.04), ("b", None), ("c", 0.01), ("d", 0.02))
    ]
    assert [result.p_corrected for result in corrected(made)] == pytest.approx([0.04, None, 0.03, 0.04])
    alone = HypothesisResult("e", "", "", "", p_confirmed=0.03, p_refuted=1.0)
    both = corrected([alone, HypothesisResult("f", "", "", "", p_confirmed=1.0, p_refuted=0.04)])
    assert [result.verdict for result in both] == ["open", "open"]
    assert [result.alone for result in both] == ["confirmed", "refuted"]


def test_all_nine_are_open_without_runs() -> None:
    """Nothing is stored: no p-value, nothing confirmed, nothing refuted."""
    results = all_hypotheses(scores(lambda run, settings: Outcome(), []), Rules(), generator=generator())
    assert [result.name for result in results] == [f"H{number}" for number in range(1, 10)]
    assert {(result.verdict, result.p) for result in results} == {("open", None)}
    assert results[7].cells.startswith("F: atan's own best, fixed, learnt and scheduled")
    assert results[8].cells.startswith("DR: full and one-step back-propagation")
