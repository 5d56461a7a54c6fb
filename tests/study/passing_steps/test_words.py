"""The answer in words, for each outcome, on scores made up for the test and counted by hand."""

from dataclasses import replace

import pytest

from sgbench.leaderboard.deviation import compose_reference
from sgbench.leaderboard.division import division_of
from sgbench.study_runner.scores import StudyScores
from study.passing_steps.analysis import settings
from study.passing_steps.analysis.cells import CHOOSING, TaskRuns, cell
from study.passing_steps.analysis.claims import decide
from study.passing_steps.analysis.words import CALIBRATED_NAME, FIXED_NAME, SettingLosses, answer_of, defaults_sentence
from tests.study.passing_steps.test_claims import CALIBRATED, TASKS, by_reset, scored, study


def answered(scores):
    """The answer that scores give."""
    losses = settings.losses_by_way(scores, settings.unsearched(scores))
    return answer_of(decide(scores), scores, losses)


def losing(of_r, of_fixed, half=0.0):
    """90 points; R, the fixed setting and width 0.5 with the reset detached lose what is said, by task."""

    def accuracy(task, shape, width, reset, seed):
        place = TASKS.index(task)
        if width == CALIBRATED[shape] and reset == "attached":
            return 90.0 - of_r[place]
        if (shape, width, reset) == ("atan", 0.5, "attached"):
            return 90.0 - of_fixed
        return 90.0 - (half if (width, reset) == (0.5, "detached") else 0.0)

    return accuracy


def test_fixed_setting_is_the_rule_where_the_other_is_not_shown_to_be_better():
    """By hand: R loses .5, 1, 1.5: mean 1, t of 3 numbers at 97 % is 3.896, so -0.1 to 2.1; F loses 0.2."""
    answer = answered(scored(by_reset))
    assert answer.rule == FIXED_NAME
    assert answer.sentences == (
        "The registered rule for recurrent networks is `atan` at 0.5, with a gradient through the neurons' reset. "
        "On 3 new tasks it lost 0.2 points to each task's best of 32 settings (95 % interval 0.2 to 0.2), most on the "
        "first (0.2; seeds 205 to 219). "
        "A width by passing steps is not shown to be better: the difference is -0.8 points. "
        "The reset's gradient costs 0.2 points at the width that is best without it, and gains 7.8 at a width of 0.5."
    )
    assert "recurrent experiments of version 2 may set `neuron.reset_gradient=attached`." in answer.defaults
    assert answer.defaults.endswith("published closed rows would become open.")


def test_a_reset_in_an_experiment_would_move_the_divisions_of_published_rows():
    """Must differ: beside an experiment with its own reset a row is closed, with the other open."""
    reference = compose_reference("fsdd_v2")
    numbers = {**reference.method.parameters["neuron"], "reset_gradient": "attached"}
    parameters = {**reference.method.parameters, "neuron": numbers}
    other = replace(reference, method=reference.method.model_copy(update={"parameters": parameters}))
    assert division_of(reference.method, reference) == "closed"
    assert division_of(reference.method, other) == "open"


def test_the_width_by_passing_steps_is_the_rule_where_it_is_confirmed_to_be_better():
    """By hand: R loses 0.1 and F 3 points everywhere, so that R is 2.9 better without spread."""
    answer = answered(scored(losing((0.1, 0.1, 0.1), 3.0)))
    assert answer.rule == CALIBRATED_NAME
    assert answer.sentences.startswith("The registered rule for recurrent networks is a width by passing steps, with")
    assert answer.sentences.endswith("It is better than the fixed setting, by 2.9 points.")


@pytest.mark.parametrize(
    ("of_r", "of_fixed", "says", "verdicts"),
    [
        ((1.0, 1.0, 1.0), 0.0, "A width by passing steps is worse, by 1.0 points.", ["confirmed", "refuted"]),
        ((20.0, 20.5, 21.0), 0.0, "comes within 3 points of the best setting is refuted.", ["refuted", "not decided"]),
        ((0.0, 6.0, 3.0), 0.0, "comes within 3 points of the best setting is not confirmed.", ["open", "not decided"]),
    ],
)
def test_every_outcome_of_the_rule_has_its_words(of_r, of_fixed, says, verdicts):
    """Must differ: R worse than F, R refuted and R open are told apart; F is the rule in each."""
    scores = scored(losing(of_r, of_fixed), last=209)
    answer = answered(scores)
    assert answer.rule == FIXED_NAME
    assert says in answer.sentences
    assert [one.verdict for one in decide(scores)[:2]] == verdicts
    assert ("Runs with more seeds may change this rule." in answer.sentences) == (verdicts[0] == "open")


@pytest.mark.parametrize(("half", "verdict"), [(8.0, "confirmed"), (1.0, "refuted")])
def test_the_gain_at_half_is_said_by_its_side(half, verdict):
    """By hand: a detached width of 0.5 that loses 8 points is a gain of 8 for both shapes, one of 1 is 1."""
    scores = scored(losing((0.0, 0.0, 0.0), 0.0, half))
    gain = decide(scores)[3]
    assert (gain.verdict, gain.looks[-1].mean) == (verdict, pytest.approx(half))
    assert ("gains 8.0 at a width of 0.5." in answered(scores).sentences) == (half > 3)


def test_harm_keeps_defaults_as_they_are():
    """By hand: attached loses 2.5 points on one of three; were the claim confirmed, that task would be harmed."""

    def accuracy(task, shape, width, reset, seed):
        return 90.0 - (2.5 if (task, reset) == ("second", "attached") else 0.0)

    scores = scored(accuracy)
    decisions = decide(scores)
    assert defaults_sentence(decisions, scores).endswith("It is not confirmed, so that no default changes.")
    forced = [replace(one, verdict="confirmed") for one in decisions]
    assert "these tasks are harmed: the second. No default changes." in defaults_sentence(forced, scores)


def test_attaching_that_harms_is_said():
    """By hand: attached loses 5 points at every width of every task."""
    answer = answered(scored(lambda task, shape, width, reset, seed: 90.0 - 5.0 * (reset == "attached")))
    assert "no default changes" in answer.defaults
    costs = "The reset's gradient costs 5.0 points at the width that is best without it."
    assert answer.sentences.endswith(costs)
    assert answer.sentences.startswith("The registered rule for recurrent networks is `atan` at 0.5")
    assert "That this comes within 3 points of the best setting is not shown." in answer.sentences


def test_missing_runs_leave_everything_undecided():
    """Expected: no rule, and no loss."""
    answer = answered(scored(by_reset, last=206))
    assert answer.rule is None
    assert "Not decided yet:" in answer.sentences
    assert "lost" not in answer.sentences
    assert answer.defaults.endswith("Not decided yet.")
    assert {one.verdict for one in decide(scored(by_reset, last=206))[:2]} == {"not decided"}


def test_a_tie_is_decided_as_the_block_that_was_run_decided_it():
    """By hand: all cells tie on validation; block C settled 0.2, whose runs are read in place of the narrowest."""
    settled = [cell(shape, 0.2, reset) for shape in CALIBRATED for reset in ("attached", "detached")]
    scores = scored(lambda *given: 90.0 - given[2], validation=lambda *_: 50.0)
    assert TaskRuns(scores, "first").reference("atan") == cell("atan", 0.02, "detached")
    of_block = StudyScores(study(), {"C": dict.fromkeys(TASKS, settled)}, scores.runs)
    assert TaskRuns(of_block, "first").reference("atan") == cell("atan", 0.2, "detached")
    assert decide(of_block)[0].looks[0].by_task["first"] == pytest.approx(0.1 - 0.075)
    short = [run for run in scores.runs if run.seed in CHOOSING or run.cell["width_fwhm"] not in (0.02, 0.05)]
    assert decide(StudyScores(study(), of_block.settled, short))[2].looks
    assert not decide(StudyScores(study(), {}, short))[2].looks


def test_single_settings_without_the_grid_are_scored_by_the_other_seeds():
    """By hand: seed 200 alone prefers a setting that is 10 points worse; the other four never choose it."""

    def validation(task, shape, width, reset, seed):
        return 99.0 if (seed, width) == (200, 4.0) else 90.0 if (shape, width) == ("atan", 1.0) else 80.0

    def accuracy(task, shape, width, reset, seed):
        return 60.0 if width == 4.0 else 70.0

    losses = settings.crossed_losses(TaskRuns(scored(accuracy, last=204, validation=validation), "first"))
    assert losses["detached, atan at 4"] == pytest.approx(10.0)
    assert losses["detached, atan at 0.2"] == pytest.approx(0.0)
    found, says = settings.singles(scored(accuracy, last=204, validation=validation))
    assert len(found) == 32
    assert "it was not registered" in says
    assert settings.singles(scored(accuracy, last=203))[0] == []
    assert settings.left_out(found).losses == pytest.approx({f"the {task}": 0.0 for task in TASKS})


def later_worse(task, shape, width, reset, seed):
    """90 points; F loses 0.2 on the seeds of the first look and 0.8 on the ten of the last; R loses 1."""
    if (shape, width, reset) == ("atan", 0.5, "attached"):
        return 89.8 if seed < 210 else 89.2
    return 89.0 if (width, reset) == (CALIBRATED[shape], "attached") else 90.0


def test_a_setting_loses_what_the_last_look_with_its_runs_says():
    """By hand: (5 * 0.2 + 10 * 0.8) / 15 = 0.6 on fifteen seeds and 0.2 on five; each is tabled with its seeds."""
    scores = scored(later_worse)
    taken = settings.unsearched(scores)
    rows = [(one.seeds, list(one.losses.values())) for one in taken if one.name == FIXED_NAME]
    assert [seeds for seeds, _ in rows] == ["seeds 205 to 219", "seeds 205 to 209"]
    assert rows[0][1] == pytest.approx([0.6] * 3)
    assert rows[1][1] == pytest.approx([0.2] * 3)
    assert settings.losses_by_way(scores, taken)[FIXED_NAME].seeds == "seeds 205 to 219"
    assert "it lost 0.6 points to" in answered(scores).sentences
    assert "it lost 0.2 points to" in answered(scored(later_worse, last=209)).sentences


def test_registered_estimates_without_runs_are_tabled():
    """Must match: a recurrent gain of which no run is stored has a row that says so, and is counted."""
    taken = [SettingLosses("attached, recurrent gain 0.1", {}, "seeds 205 to 209")]
    told = settings.tables(scored(by_reset), taken)
    assert "| seeds 205 to 209 | attached, recurrent gain 0.1 | not run | - | - |" in told[1]
    assert told[2] == "Registered estimates that are not run: 1."
