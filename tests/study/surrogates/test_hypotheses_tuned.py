"""Hypotheses on tuned settings, schedules and rules, on runs of a known truth, look by look."""

import pytest
from scipy.stats import boschloo_exact

from sgbench.study_runner.cells import Cell, StudyPoint
from sgbench.study_runner.scores import StudyScores
from study.reporting.verdicts import HypothesisResult
from study.surrogates.analysis.comparisons import Rules
from study.surrogates.analysis.hypotheses import h6, h8
from study.surrogates.analysis.hypotheses_rules import h9
from tests.study.surrogates.hypothesis_cases import Bonus
from tests.study.truth import SETTLED, Outcome, more_seeds, noise, scores, study, with_best


def tuned(seeds: int, bonus: Bonus = lambda run, settings: 0.0, spread: float = 0.4) -> StudyScores:
    """The reporting block with so many seeds: 95 points, noise, and what is put in."""
    return scores(
        lambda run, settings: Outcome(95 + noise(run, spread) + bonus(run, settings)),
        ["A3b"],
        settled=with_best(),
        plan=more_seeds(seeds),
    )


@pytest.mark.slow
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
    blocks = {**plan.blocks, "F": block.model_copy(update={"seeds": block.seeds.model_copy(update={"count": seeds})})}
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
    assert result.p == pytest.approx(min(1.0, min(result.p_confirmed, result.p_refuted or 0.0) * 0.05 / 0.0221))


def test_h6_corrects_shares_for_five_shapes() -> None:
    """Oracle: scipy's Boschloo p-values, doubled, of 3, 6 and 10 of 10 solved runs against 10, and Holm by hand."""
    solved = {"triangle": 3, "gaussian": 6}

    def unsolved(run: StudyPoint, settings: Cell) -> float:
        return -40.0 * (run.task == "T6" and run.seed - 200 >= solved.get(str(settings["surrogate"]), 10))

    rows = {row[1]: row for row in h6(tuned(10, unsolved), Rules()).rows if row[0] == "T6"}
    raw = [2 * float(boschloo_exact([[10, count], [0, 10 - count]], alternative="greater").pvalue) for count in (3, 6)]
    assert rows["triangle"][6] == pytest.approx(5 * raw[0], rel=2e-3)
    assert rows["gaussian"][6] == pytest.approx(4 * raw[1], rel=2e-3)
    assert rows["log_abs"][6] == 1.0


def test_h6_has_the_level_of_a_look() -> None:
    """A p-value counts as if it were .05 / .0221 times as large: by hand."""
    result = HypothesisResult("H6", "", "", "", p_confirmed=0.03, p_refuted=1.0, level_factor=0.05 / 0.0221)
    assert result.p == pytest.approx(0.03 * 0.05 / 0.0221)
    assert result.alone == "open"
