"""Advice under a budget of energy: choices, advice on a task left out and trust by hand; every refusal one line."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

import sgbench
from sgbench.cli.main import main
from sgbench.energy.price import load_targets
from sgbench.energy.validate import counts_of, load_cases, validate
from sgbench.errors import InputError
from sgbench.plots.chart import charts_of_json
from sgbench.recommendation.block import MeasuredRun, MeasuredTask, Setting, read_block, shipped_block
from sgbench.recommendation.budget import advise_budget, trust_in
from sgbench.recommendation.budget_advice import Budget, BudgetAdvice
from sgbench.recommendation.left_out import CarriedAdvice, in_short
from sgbench.recommendation.priced import moved_nj
from sgbench.records.counts import OpCounts
from sgbench.records.energy import CaseLayer, CasePoint, Range
from tests.figures import figures
from tests.messages import lines_naming, raises_naming
from tests.rooms import ROOT

EVENT_NJ = 0.0236
"""A synaptic operation of Loihi 1 by Davies 2018, in its price list."""


def counts(events: int) -> OpCounts:
    """Counts of an inference that does so many synaptic operations and nothing else."""
    exactly = Range(value=events, low=events, high=events)
    nothing = Range(value=0, low=0, high=0)
    layer = CaseLayer(name="layer", neurons=1, inputs=1, events=exactly, spikes=nothing, updated=False)
    measured = Range(value=1, low=1, high=1)
    point = CasePoint(label="toy", duration_s=0.01, steps=10, layers=(layer,), measured_nj=measured)
    return counts_of(point, "value")


def task(name: str, cells: Mapping[tuple[float, str], tuple[float, float, int]]) -> MeasuredTask:
    """A task of two seeds; by cost and weights the validation and test accuracy in percent, and the operations."""
    runs = {}
    for (cost, weights), (validation, test, events) in cells.items():
        bits = None if weights == "float" else 4
        runs[Setting("atan", 1.0, cost, weights, bits)] = [
            MeasuredRun(seed, (validation + d) / 100, (test + d) / 100, counts(events), 0.001)
            for seed, d in ((200, -1), (201, 1))
        ]
    return MeasuredTask(name, name, runs)


USUAL = {
    (0.0, "float"): (96, 95, 1000),
    (1.0, "float"): (90, 89, 500),
    (0.0, "int4"): (94, 93, 900),
    (1.0, "int4"): (88, 87, 400),
    (0.0, "rounded"): (80, 79, 1000),
    (1.0, "rounded"): (70, 69, 500),
}
OTHER = {**USUAL, (1.0, "int4"): (60, 59, 450)}


def advice(budget: Budget, *tasks: MeasuredTask) -> BudgetAdvice:
    return advise_budget(tasks or (task("one", USUAL), task("two", OTHER)), budget)


def test_the_best_of_validation_within_the_energy_is_taken() -> None:
    """By hand: 1000 to 400 operations of 23.6 pJ. Loihi 1 holds no real weights, so int4 alone counts."""
    enough = advice(Budget("loihi1", max_nj=900 * EVENT_NJ + 0.01)).tasks[0]
    assert enough.chosen is not None
    assert enough.chosen.setting == Setting("atan", 1.0, 0.0, "int4", 4)
    assert enough.chosen.energy_nj.value == pytest.approx(900 * EVENT_NJ)
    assert enough.chosen.test.mean == pytest.approx(0.93)
    # Beside it: of real weights only cost 1 fits, and it loses 20 points by rounding.
    assert enough.rounded is not None
    assert enough.rounded.setting == Setting("atan", 1.0, 1.0, "rounded", 4)
    assert enough.rounded.test.mean == pytest.approx(0.69)
    below = str(advice(Budget("loihi1", max_nj=900 * EVENT_NJ + 0.01, min_accuracy=93.5)))
    assert lines_naming(below, "93.5 %")
    assert lines_naming(below, "2 seeds", "95 %")
    # Must differ: a smaller budget leaves the setting with a cost on activity.
    less = advice(Budget("loihi1", max_nj=900 * EVENT_NJ - 0.01)).tasks[0]
    assert less.chosen is not None
    assert less.chosen.setting.activity_cost == 1.0


def test_test_scores_choose_nothing() -> None:
    """Must match: other test scores of the same validation scores lead to the same choices."""
    turned = {key: (validation, 100 - test, events) for key, (validation, test, events) in USUAL.items()}
    budget = Budget("loihi1", max_nj=30)
    first, second = advice(budget), advice(budget, task("one", turned), task("two", OTHER))
    for one, other in zip(first.tasks, second.tasks, strict=True):
        assert one.chosen is not None
        assert other.chosen is not None
        assert one.chosen.setting == other.chosen.setting
    assert [check.advised.setting for check in first.left_out] == [check.advised.setting for check in second.left_out]


def test_without_a_limit_of_energy_the_cheapest_accurate_one_is_taken() -> None:
    """By hand: cost 1 reaches 88 % on the first task and 60 % on the second."""
    found = advice(Budget("loihi1", min_accuracy=85)).tasks
    assert [one.chosen and one.chosen.setting.activity_cost for one in found] == [1.0, 0.0]


def test_real_weights_are_held_where_nothing_limits_them() -> None:
    """TrueNorth's list limits weights to 9 bits; that of 45 nm in single precision to 32, so all are eligible."""
    on_chip = advice(Budget("truenorth", min_accuracy=1)).tasks[0].measured
    anywhere = advice(Budget("convention_ac_mac", min_accuracy=1)).tasks[0].measured
    assert {one.setting.weights for one in on_chip} == {"int4"}
    assert {one.setting.weights for one in anywhere} == {"float", "int4"}


def test_the_front_has_what_nothing_beats() -> None:
    """By hand: a dearer setting of less accuracy is beaten."""
    cells = {**USUAL, (2.0, "int4"): (85, 99, 800)}
    (found,) = advice(Budget("loihi1", max_nj=100), task("one", cells)).tasks
    assert [one.setting.activity_cost for one in found.front] == [1.0, 0.0]


def test_advice_on_a_task_left_out() -> None:
    """By hand: budgets are sqrt(400 x 1000) = 632 operations on one and 671 on two, so shares are .63 and .67.

    From the other task cost 1 needs .45 or .4, and is the only int4 setting that fits. On its own task the choice
    is the same, so nothing is lost; rounding real weights of cost 1 gives 69 % where the advice has 87 and 59.
    """
    first, second = advice(Budget("loihi1", max_nj=100)).left_out
    assert first.budget_nj == pytest.approx(EVENT_NJ * (400 * 1000) ** 0.5)
    assert first.advised.setting == Setting("atan", 1.0, 1.0, "int4", 4)
    assert first.loss_points == pytest.approx(0)
    assert first.rounded_loss_points == pytest.approx(18)
    assert second.rounded_loss_points == pytest.approx(-10)


def test_advice_that_does_not_carry_over_is_told() -> None:
    """Must differ: on a task whose activity a cost does not lower, the advised setting breaks the budget."""
    stubborn = {**USUAL, (1.0, "int4"): (88, 87, 950), (0.0, "int4"): (94, 93, 420)}
    found = advice(Budget("loihi1", max_nj=100), task("one", USUAL), task("two", stubborn))
    assert found.left_out[1].advised.energy_nj.value > found.left_out[1].budget_nj
    assert "would have broken the budget" in "\n".join(found.lines)


def test_a_run_of_ones_own_is_the_reference() -> None:
    """By hand: 2000 operations are needed, 1000 allowed; cost 1 took .4 and .45 of the reference on the tasks."""
    found = advise_budget(
        (task("one", USUAL), task("two", OTHER)), Budget("loihi1", max_nj=1000 * EVENT_NJ), own=(counts(2000), 0.001)
    )
    assert found.own is not None
    assert found.own.reference_nj == pytest.approx(2000 * EVENT_NJ)
    assert found.own.advised.shares == pytest.approx((0.4, 0.45))
    assert found.own.advised.losses == pytest.approx((8.0, 36.0))
    assert found.own.moved_nj == pytest.approx(2000 * EVENT_NJ)
    assert "No measured setting" not in str(found)
    assert not lines_naming(found, "Your run", "keeps the budget")
    assert "one: take" not in str(found)  # the budget is that of another network
    small = advise_budget(
        (task("one", USUAL), task("two", OTHER)), Budget("loihi1", max_nj=1000 * EVENT_NJ), own=(counts(900), 0.001)
    )
    assert lines_naming(small, "Your run", "keeps the budget")


def test_a_task_without_spikes_does_not_hide_another() -> None:
    """By hand: a setting that needs nothing on one task and 5 times as much on another needs 2.5 on average."""
    assert CarriedAdvice(Setting("atan", 1.0, 1.0, "int4", 4), (0.0, 5.0), (1.0, 1.0)).share == 2.5


def test_where_spikes_cost_nothing_no_setting_is_advised() -> None:
    """A processor computes as much whatever neurons send."""
    with raises_naming(InputError, "--target cpu_i7"):
        advise_budget((task("one", USUAL),), Budget("cpu_i7", max_nj=1e12), own=(counts(2000), 0.001))


def test_what_no_setting_moves_is_told_before_advice() -> None:
    """By hand: 1000 operations by input stay, so 23.6 nJ are the least whatever neurons send; 10 nJ are refused."""
    own = counts(1000)
    (layer,) = own.layers
    (group,) = layer.synapses
    given = layer.model_copy(update={"synapses": (group.model_copy(update={"source": "input"}),)})
    own = own.model_copy(update={"layers": (given,)})
    assert moved_nj(own, target=load_targets()["loihi1"], dt_s=0.001) == 0
    assert moved_nj(counts(1000), target=load_targets()["loihi1"], dt_s=0.001) == pytest.approx(23.6)
    with raises_naming(InputError, "23.6 nJ of this run", "23.6 nJ stay"):
        advise_budget((task("one", USUAL),), Budget("loihi1", max_nj=10), own=(own, 0.001))


def test_trust_counts_the_same_predictions_as_validate() -> None:
    """Independent: the verdicts of `energy validate`, counted here."""
    verdicts = validate(load_cases(), load_targets(everything=True))
    mine = [one for one in verdicts if one.target == "loihi1"]
    found = trust_in("loihi1")
    assert (found.held, found.of) == (sum(one.inside for one in mine), len(mine))
    assert (found.all_held, found.all_of) == (sum(one.inside for one in verdicts), len(verdicts))
    assert found.of < found.all_of
    assert "no published measurement" in str(trust_in("horowitz_45nm"))


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        ({}, "--max-nj or --min-accuracy is needed"),
        ({"max_nj": 0}, "--max-nj=0: a number in"),
        ({"max_nj": float("nan")}, "--max-nj=nan"),
        ({"min_accuracy": 101}, "--min-accuracy=101"),
        ({"max_nj": 5, "bits": 0}, "--bits 0: 1 or more"),
        ({"max_nj": 0.5}, r"--max-nj 0.5: the least of any measured network on loihi1 is 9.44 nJ \(one\)"),
        ({"min_accuracy": 99.5}, r"--min-accuracy 99.5: the best measured network on loihi1 reaches 94.0 %"),
        ({"max_nj": 12, "min_accuracy": 90}, r"within 12 nJ on loihi1 reaches 88.0 %"),
        ({"max_nj": 50, "bits": 2}, "weights of 2 bits: no measured network has so few"),
    ],
)
def test_what_cannot_be_kept_is_one_line(budget: dict[str, float], reason: str) -> None:
    with pytest.raises(InputError, match=reason) as refused:
        advice(Budget("loihi1", **budget))  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)


def test_unknown_targets_and_lists_without_a_total_are_one_line() -> None:
    with raises_naming(InputError, "'loihi'", "loihi1"):
        advice(Budget("loihi", max_nj=50))
    with raises_naming(InputError, "--target akida", "'one'"):
        advice(Budget("akida", max_nj=50))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--max-nj", "50"], "--max-nj: needs --target"),
        (["experiment=digits", "--target", "loihi1", "--max-nj", "50"], "experiment=digits: --target answers"),
        (["--layers", "2", "--target", "loihi1", "--max-nj", "50"], "--layers: --target answers"),
        (["--recurrent", "--target", "loihi1", "--max-nj", "50"], "--recurrent: --target answers"),
        (["--steps", "80", "--target", "loihi1", "--max-nj", "50"], "--steps: --target answers"),
        (["--for", "spikes", "--target", "loihi1", "--max-nj", "50"], "--for: --target answers"),
        (["--budget", "0", "--target", "loihi1", "--max-nj", "50"], "--budget: --target answers"),
        (["experiment=digits", "--recurrent"], "--recurrent: describes a network given by --layers"),
        (["--layers", "2", "--data-dir", "data"], "--data-dir: is of a run"),
        (["--target", "loihi1", "--max-nj", "50", "--run", "nowhere"], "nowhere"),
    ],
)
def test_words_of_the_command_that_do_not_go_together(capsys, words: list[str], reason: str) -> None:
    assert main(["recommend", *words]) == 2
    said = capsys.readouterr().err
    assert reason in said
    assert said.count("\n") == 1


def test_python_refuses_as_the_command_does() -> None:
    with pytest.raises(InputError, match="a budget needs a target"):
        sgbench.recommend("experiment=digits", max_nj=50)  # type: ignore[call-overload]
    with pytest.raises(InputError, match="no overrides or network"):
        sgbench.recommend("experiment=digits", target="loihi1", max_nj=50)  # type: ignore[call-overload]


# --- the shipped runs


def test_shipped_runs_are_whole() -> None:
    """Each setting of a task has the same seeds, and rounded weights are there for each trained number of bits."""
    for one in read_block(shipped_block()):
        seeds = {tuple(sorted(run.seed for run in runs)) for runs in one.runs.values()}
        assert len(seeds) == 1, one.title
        kinds = {(setting.weights == "rounded", setting.bits) for setting in one.runs}
        assert {(True, bits) for rounded, bits in kinds if bits and not rounded} <= kinds


def test_the_command_answers_as_python_does(tmp_path: Path, capsys) -> None:
    """The same settings in text, JSON and a picture; and four tasks are told, also those where nothing fits."""
    assert main(["recommend", "--target", "loihi1", "--max-nj", "400", "--plot", str(tmp_path / "front.png")]) == 0
    text = capsys.readouterr().out
    assert main(["recommend", "--target", "loihi1", "--max-nj", "400", "--json"]) == 0
    tree = json.loads(capsys.readouterr().out)
    found = sgbench.recommend(target="loihi1", max_nj=400)
    assert str(found) in text
    assert [one["title"] for one in tree["tasks"]] == [one.title for one in found.tasks]
    for one, told in zip(found.tasks, tree["tasks"], strict=True):
        assert one.title in text
        assert (told["chosen"] and told["chosen"]["words"]) == (one.chosen and list(one.chosen.setting.overrides))
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")


def test_how_advice_fell_is_said_as_it_is() -> None:
    """By hand: advice loses 0 points and 0, rounding afterwards 18 and -10, all within the budget."""
    found = advice(Budget("loihi1", max_nj=100))
    said = in_short("loihi1", found.left_out)
    rounding, _, both = said.partition("Rounding")[2].partition("both")
    assert figures(rounding)[:3] == [2, 2, 4.0]  # of two tasks kept on both, and lost on average
    means, tasks = ([0.0, 0.0, 0.0, 4.0, -10.0, 18.0], [1, 1, 0])  # with their ends; more on, less on, as much on
    assert figures(both)[:10] == [2, *means, *tasks]
    assert said in found.lines
    assert "too few were measured" in in_short("loihi1", ())


def test_a_task_whose_settings_need_the_same_energy_is_told() -> None:
    """By hand: 980 and 1000 operations lie 2.0 % apart; must differ: 400 and 900 are said to be alike nowhere."""
    alike = {**USUAL, (0.0, "int4"): (94, 93, 1000), (1.0, "int4"): (88, 87, 980)}
    said = in_short("loihi1", advice(Budget("loihi1", max_nj=100), task("one", USUAL), task("two", alike)).left_out)
    assert lines_naming(said, "On 1 of the 2 tasks", "2.0 %")
    assert "can hardly test" not in in_short("loihi1", advice(Budget("loihi1", max_nj=100)).left_out)


def test_rounding_that_breaks_the_budget_is_no_better_advice() -> None:
    """By hand: budgets are 632 and 671 operations; rounded on the second task needs 700 and gains 40 points."""
    dear = {**OTHER, (1.0, "rounded"): (99, 99, 700)}
    found = advice(Budget("loihi1", max_nj=100), task("one", USUAL), task("two", dear))
    said = in_short("loihi1", found.left_out)
    assert [check.rounded_keeps_budget for check in found.left_out] == [True, False]
    rounding, _, both = said.partition("Rounding")[2].partition("both")
    assert figures(rounding)[:3] == [1, 2, -11.0]
    # Must differ: on the one task where both keep the budget the advice loses less, so it loses more on none.
    assert figures(both)[:10] == [1, 0.0, 0.0, 0.0, 18.0, 18.0, 18.0, 0, 1, 0]
    assert f"({700 * EVENT_NJ:.3g} nJ, over the budget)" in str(found)
    # Must differ: where rounding breaks each budget, nothing compares the two.
    first = {**USUAL, (1.0, "rounded"): (99, 99, 700)}
    neither = advice(Budget("loihi1", max_nj=100), task("one", first), task("two", dear)).left_out
    assert [check.rounded_keeps_budget for check in neither] == [False, False]
    assert lines_naming(in_short("loihi1", neither), "On no task")
    assert not lines_naming(said, "On no task")


def test_a_task_left_out_does_not_say_what_can_be_advised() -> None:
    """By hand: cost 0 and int4 is best elsewhere; on the task left out all of its runs failed and score 50 %.

    Must differ: advice that looks at what the task left out has measured would lose nothing.
    """
    cheap = {**USUAL, (0.0, "int4"): (94, 93, 300)}
    second = task("two", cheap)
    failed = Setting("atan", 1.0, 0.0, "int4", 4)
    second.runs[failed] = [MeasuredRun(seed, 0.5, 0.5, None, 0.001) for seed in (200, 201)]  # type: ignore[index]
    (check,) = [
        one for one in advice(Budget("loihi1", max_nj=100), task("one", cheap), second).left_out if one.title == "two"
    ]
    assert check.advised.setting == failed
    assert check.best.setting == Setting("atan", 1.0, 1.0, "int4", 4)
    assert check.loss_points == pytest.approx(87 - 50)
    assert not check.keeps_budget
    assert "no run has a result" in str(advice(Budget("loihi1", max_nj=100), task("one", cheap), second))


def test_pages_and_the_command_say_how_advice_fell_in_the_same_words() -> None:
    """One sentence for the worked page, the study's page, the chart of the site and the terminal."""
    said = in_short("loihi1", sgbench.recommend(target="loihi1", max_nj=400).left_out)
    guide = (ROOT / "docs" / "a_network_for_a_chip.md").read_text()
    assert said in " ".join(guide.split())
    assert said in (ROOT / "docs" / "chip" / "README.md").read_text()
    (charts,) = charts_of_json((ROOT / "docs" / "chip" / "charts.json").read_bytes()).values()
    assert charts.caption == said
