"""Each hypothesis on runs of a known truth: what is put in is found, what is taken out is not."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binomtest, boschloo_exact, linregress, ttest_1samp, ttest_rel

from sgbench.study.cells import Cell, StudyPoint
from sgbench.study.comparisons import SLOPE_AT_REST, Rules
from sgbench.study.hypotheses import all_hypotheses, h1, h2, h3, h6, h7
from sgbench.study.hypotheses_recurrent import best_width, h4, h5
from sgbench.study.hypotheses_rules import h9
from sgbench.study.hypotheses_schedules import h8
from sgbench.study.scores import StudyScores
from sgbench.study.verdicts import HypothesisResult, corrected, one_side
from tests.study.truth import SETTLED, Outcome, more_seeds, noise, scores, study, with_best

ONE_LAYER, RECURRENT = ("T1", "T2d1", "T3"), ("T4", "T5")
Bonus = Callable[[StudyPoint, Cell], float]


def generator(seed: int = 0) -> np.random.Generator:
    """Numbers for the bootstrap."""
    return np.random.Generator(np.random.PCG64(seed))


def width(settings: Cell) -> float:
    """The width of a run."""
    return float(str(settings["width_fwhm"]))


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
                        table.cell(task, "map", {"surrogate": name, "width_fwhm": wide}, start="A2")[
                            seed
                        ].accuracy
                        for wide in (0.5, 1.0, 2.0)
                    ]
                )
                for name in (shape, "atan")
            ]
            differences.append(means[0] - means[1])
        sides = [
            ttest_1samp(differences, -2, alternative="greater"),
            ttest_1samp(differences, 2, alternative="less"),
        ]
        expected = max(expected, *(float(side.pvalue) for side in sides))
    assert result.p_confirmed == pytest.approx(expected)
    assert (result.alone, result.seeds, len(result.rows)) == ("confirmed", "5", 15)


def test_h1_one_shape_on_one_task_refutes() -> None:
    """Eight points put in at the three widths are shown; must differ: outside of them they change nothing."""
    inside = one_layer(
        lambda run, settings: -8.0 * (run.task == "T3" and settings["surrogate"] == "triangle")
    )
    assert h1(inside, Rules()).alone == "refuted"
    outside = one_layer(
        lambda run, settings: -8.0 * (settings["surrogate"] == "triangle" and width(settings) < 0.5)
    )
    assert h1(outside, Rules()).alone == "confirmed"


def test_h1_noise_or_missing_runs_leave_it_open() -> None:
    """Neither is shown of five seeds with a spread of eight points; one missing run is said and decides nothing."""
    assert h1(one_layer(lambda run, settings: 0.0, spread=8.0), Rules()).alone == "open"
    whole = one_layer(lambda run, settings: 0.0)
    lost = next(
        run for run in whole.runs if run.task == "T3" and run.cell == {"surrogate": "atan", "width_fwhm": 1}
    )
    result = h1(
        StudyScores(whole.study, whole.settled, [run for run in whole.runs if run is not lost]), Rules()
    )
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
        lambda run, settings: Outcome((92 if learns(run, settings) else 10) + noise(run, 0.5)),
        ["A2"],
        tasks=[task],
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


def recurrent(best: float, fails: Callable[[StudyPoint], bool]) -> StudyScores:
    """Recurrent tasks: accuracy falls with the distance from the best width, and width 4 fails in some runs."""

    def truth(run: StudyPoint, settings: Cell) -> Outcome:
        if width(settings) == 4 and fails(run):
            return Outcome(failed=True)
        points = 80 - 12 * abs(np.log10(width(settings) / best)) + noise(run, 0.5)
        return Outcome(points, points, spikes=100.0)

    return scores(truth, ["A2"], tasks=RECURRENT)


def test_h4_confirmed_refuted_and_open() -> None:
    """Narrow and failing: confirmed. Wide: refuted. Narrow and never failing: refuted by the share alone."""
    narrow = h4(recurrent(0.1, lambda run: run.seed != 300), generator=generator())
    assert narrow.alone == "confirmed"
    assert narrow.rows[0][2:7] == (0.1, 0.1, 0.1, 9, 10)
    assert h4(recurrent(2.0, lambda run: True), generator=generator()).alone == "refuted"
    never = recurrent(0.1, lambda run: False)
    assert h4(never, generator=generator()).alone == "refuted"
    third = h4(recurrent(0.1, lambda run: run.seed % 5 < 2), generator=generator())
    assert third.alone == "open"


def test_the_best_width_against_all_resamples() -> None:
    """Oracle: all 27 equally likely resamples of three seeds; the drawn share is within five standard errors."""
    validation = np.array([[60.0, 80.0, 78.0], [75.0, 70.0, 66.0]])
    picks = np.array(list(itertools.product(range(3), repeat=3)))
    exact = float(np.mean([validation[1, pick].mean() > validation[0, pick].mean() for pick in picks]))
    found = best_width(validation, [0.1, 1.0], generator=generator(), resamples=20_000)
    assert 0.1 < exact < 0.4
    assert found.p_below == pytest.approx(2 * exact, abs=10 * (exact * (1 - exact) / 20_000) ** 0.5)
    assert found.width == 0.1


def remedies(
    *, cut_slope: float = 1.0, cut_level: float = 60.0, cut_fails: int = 0, clip_saves: bool = False
) -> StudyScores:
    """Recurrent tasks whose width 4 fails unless the gradient is cut, or clipping saves it."""

    def truth(run: StudyPoint, settings: Cell) -> Outcome:
        wide = np.log10(width(settings) / 0.05)
        if settings["network.recurrence_gradient"] == "cut":
            if (
                run.seed < 300 + cut_fails
                and width(settings) == 4
                and settings["surrogate"] == "atan"
                and run.task == "T4"
            ):
                return Outcome(failed=True)
            points = cut_level - cut_slope * wide
        elif width(settings) == 4 and not (clip_saves and settings.get("clip_norm")):
            return Outcome(failed=True)
        else:
            points = 80 - 15 * wide
        points += noise(run, 0.5)
        return Outcome(points, points)

    return scores(truth, ["A2", "B2"], tasks=RECURRENT)


@pytest.mark.slow
def test_h5_confirmed_and_each_way_to_refute_it() -> None:
    """Confirmed where the cut flattens and costs; refuted where it does not, fails, or where clipping helps."""
    result = h5(remedies(), Rules())
    assert result.alone == "confirmed"
    full = [
        80 + noise(StudyPoint("A2", "T4", {"surrogate": "atan", "width_fwhm": 0.05}, seed, ()), 0.5)
        for seed in range(300, 310)
    ]
    cell = {"surrogate": "atan", "width_fwhm": 0.05, "network.recurrence_gradient": "cut"}
    table = remedies()
    cut = [table.cell("T4", "map", cell, start="B2")[seed].accuracy for seed in range(300, 310)]
    assert result.rows[0][5] == pytest.approx(float(ttest_rel(cut, full).pvalue))
    assert h5(remedies(cut_slope=20.0), Rules()).alone == "refuted"
    assert h5(remedies(cut_level=90.0), Rules()).alone == "refuted"
    assert h5(remedies(cut_fails=1), Rules()).alone == "refuted"
    assert h5(remedies(clip_saves=True), Rules()).alone == "refuted"
    assert h5(remedies(cut_level=80.0), Rules()).alone == "open"


def tuned(seeds: int, bonus: Bonus = lambda run, settings: 0.0, spread: float = 0.4) -> StudyScores:
    """The reporting block with so many seeds: 95 points, noise, and what is put in."""
    return scores(
        lambda run, settings: Outcome(95 + noise(run, spread) + bonus(run, settings)),
        ["A3b"],
        settled=with_best(),
        plan=more_seeds(seeds),
    )


def test_h6_at_its_looks() -> None:
    """Ten of ten solved runs show no equality within 0.2, twenty do; a seed beyond a look decides nothing."""
    assert h6(tuned(10), Rules()).alone == "open"
    result = h6(tuned(20), Rules())
    assert (result.alone, len(result.rows)) == ("confirmed", 35)
    assert result.seeds.startswith("T1 20, T2d1 20")
    ten, thirteen = tuned(10), tuned(13)
    assert h6(thirteen, Rules()).rows == h6(ten, Rules()).rows


def test_h6_refuted_by_one_shape_on_one_task() -> None:
    """Six points on Braille letters; and where the delayed task is solved by no run of one shape."""
    lower = lambda run, settings: -6.0 * (run.task == "T4" and settings["surrogate"] == "log_abs")  # noqa: E731
    assert h6(tuned(10, lower), Rules()).alone == "refuted"
    unsolved = lambda run, settings: -40.0 * (run.task == "T6" and settings["surrogate"] == "gaussian")  # noqa: E731
    assert h6(tuned(10, unsolved), Rules()).alone == "refuted"


def scheduled(seeds: int, bonus: Bonus = lambda run, settings: 0.0) -> StudyScores:
    """The reporting block and that of schedules: 95 points, noise, and what is put in."""
    plan = more_seeds(seeds)
    block = plan.blocks["F"]
    blocks = {
        **plan.blocks,
        "F": block.model_copy(update={"seeds": block.seeds.model_copy(update={"count": seeds})}),
    }
    return scores(
        lambda run, settings: Outcome(95 + noise(run, 0.4) + bonus(run, settings)),
        ["A3b", "F"],
        tasks=["T2d4", "T4", "T5", "T6"],
        settled=with_best(),
        plan=plan.model_copy(update={"blocks": blocks}),
    )


def test_h8_compares_what_learns_and_is_scheduled_with_the_best_fixed_width() -> None:
    """Seven methods on four tasks; equal at 20 seeds; refuted by one schedule that loses six points on one task."""
    result = h8(scheduled(20), Rules())
    assert (result.alone, len(result.rows)) == ("confirmed", 28)
    worse = lambda run, settings: -6.0 * (run.task == "T5" and settings["steepness"] == "cosine")  # noqa: E731
    assert h8(scheduled(10, worse), Rules()).alone == "refuted"
    without = tuned(10)
    assert h8(without, Rules()).alone == "open"
    assert "no complete look at T2d4, T4, T5, T6" in h8(without, Rules()).seeds


def by_rule(seeds: int, bonus: Bonus) -> StudyScores:
    """The reporting block of rules: 95 points, noise, and what is put in."""
    plan = study().study
    block = plan.blocks["DR"]
    more = block.model_copy(update={"seeds": block.seeds.model_copy(update={"count": seeds})})
    start = {"surrogate": "atan", "loss": "per_step", "optimizer.lr": 0.01}
    cells = [{**start, "rule": "bptt", "rule.window": window} for window in (None, 10, 1)]
    return scores(
        lambda run, settings: Outcome(95 + noise(run, 0.4) + bonus(run, settings)),
        ["DR"],
        settled={**SETTLED, "D": dict.fromkeys(block.tasks, cells)},
        plan=plan.model_copy(update={"blocks": {**plan.blocks, "DR": more}}),
    )


def test_h9_wants_one_step_close_on_two_tasks_and_far_on_the_third() -> None:
    """By hand: ten seeds 0.5 points below and 0 of 10 solved confirm; 6 below refute; solved alike is open."""

    def less(on_letters: float, on_delay: float) -> Bonus:
        lost = {"T4": on_letters, "T6": on_delay}
        return lambda run, settings: -lost.get(run.task, 0.0) * (settings["rule.window"] == 1)

    result = h9(by_rule(10, less(0.5, 40)), Rules())
    assert (result.alone, len(result.rows)) == ("confirmed", 2)
    assert "solved by 0 of 10 runs of one step and 10 of full" in result.why
    assert h9(by_rule(10, less(6, 40)), Rules()).alone == "refuted"
    assert h9(by_rule(10, less(0.5, 0)), Rules()).alone == "open"
    without = h9(tuned(10), Rules())
    assert (without.alone, without.p) == ("open", None)
    assert "no complete look at T4, T5, T6" in without.seeds


def test_h6_decides_each_comparison_at_the_level_of_a_look() -> None:
    """Must differ: p-values between .0221 and .05 exist among these runs, and are open; the p of all is scaled."""
    result = h6(tuned(20, spread=1.9), Rules())
    p_equal, words = [float(row[7]) for row in result.rows], [row[9] for row in result.rows]
    assert any(0.0221 < p <= 0.05 for p in p_equal)
    assert [word == "equal" for word in words] == [p <= 0.0221 for p in p_equal]
    assert result.p_confirmed == max(p_equal)
    assert result.p == pytest.approx(
        min(1.0, min(result.p_confirmed, result.p_refuted or 0.0) * 0.05 / 0.0221)
    )


def test_h6_corrects_shares_for_five_shapes() -> None:
    """Oracle: scipy's Boschloo p-values, doubled, of 3, 6 and 10 of 10 solved runs against 10, and Holm by hand."""
    solved = {"triangle": 3, "gaussian": 6}

    def unsolved(run: StudyPoint, settings: Cell) -> float:
        return -40.0 * (run.task == "T6" and run.seed - 200 >= solved.get(str(settings["surrogate"]), 10))

    rows = {row[1]: row for row in h6(tuned(10, unsolved), Rules()).rows if row[0] == "T6"}
    raw = [
        2 * float(boschloo_exact([[10, count], [0, 10 - count]], alternative="greater").pvalue)
        for count in (3, 6)
    ]
    assert rows["triangle"][6] == pytest.approx(5 * raw[0], rel=2e-3)
    assert rows["gaussian"][6] == pytest.approx(4 * raw[1], rel=2e-3)
    assert rows["log_abs"][6] == 1.0


def test_h6_has_the_level_of_a_look() -> None:
    """A p-value counts as if it were .05 / .0221 times as large: by hand."""
    result = HypothesisResult("H6", "", "", "", p_confirmed=0.03, p_refuted=1.0, level_factor=0.05 / 0.0221)
    assert result.p == pytest.approx(0.03 * 0.05 / 0.0221)
    assert result.alone == "open"


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
                    table.cell(str(task), "map", {"surrogate": shape, "width_fwhm": 1.0}, start="A2")[
                        seed
                    ].log_spikes
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
