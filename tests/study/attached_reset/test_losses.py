"""Losses, choices and verdicts of networks made by hand, against sums by hand and SciPy's t-test."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from scipy import stats

from study.attached_reset.analysis.losses import (
    FORMER,
    ONE,
    OTHER,
    PAIR,
    SETTINGS,
    NetworkRuns,
    advice,
    by_task,
    chosen_anew,
    claims,
    driven_gain,
    later_claim,
    networks_of,
    worst,
)
from study.attached_reset.analysis.report import summary_of

BEST = SETTINGS[4]


def run(accuracy: float, validation: float | None = None) -> Any:
    return SimpleNamespace(
        accuracy=accuracy, validation=accuracy if validation is None else validation, guess=25.0, failed=False
    )


def network(
    task: str, start: str = "quiet", lost: Mapping[Any, float] | None = None, best: float = 90.0
) -> NetworkRuns:
    """Two seeds; each setting has the best accuracy but for what it loses."""
    runs = {one: {seed: run(best - (lost or {}).get(one, 0.0)) for seed in (1, 2)} for one in SETTINGS}
    return NetworkRuns(task, start, runs, BEST)


def tasks(losses: list[float], **more: float) -> list[NetworkRuns]:
    """A task for each loss of the setting that is tested, alike from both starts."""
    lost = {ONE: 0.0, FORMER: more.get("former", 0.0), OTHER: more.get("other", 0.0)}
    return [
        network(f"task{place}", start, {**lost, ONE: loss})
        for place, loss in enumerate(losses)
        for start in ("quiet", "driven")
    ]


def test_the_pair_keeps_the_better_on_validation_seed_by_seed() -> None:
    """Expected by hand: seed 1 keeps the second (70, not 80), seed 2 a tie, and so the first (60); 90 - 65."""
    runs = {one: {1: run(90.0), 2: run(90.0)} for one in SETTINGS}
    runs[ONE] = {1: run(80.0, 50.0), 2: run(60.0, 55.0)}
    runs[OTHER] = {1: run(70.0, 51.0), 2: run(85.0, 55.0)}
    made = NetworkRuns("a", "quiet", runs, BEST)
    assert made.loss(*PAIR) == pytest.approx(25.0)
    assert made.loss(ONE) == pytest.approx(20.0)


def test_a_network_that_learns_nothing_is_left_out_and_the_other_start_counts() -> None:
    """Expected: the quiet start (44 of a guess of 25) is excluded; the task's loss is the driven one's 4."""
    quiet = network("a", "quiet", {ONE: 10.0}, best=44.0)
    driven = network("a", "driven", {ONE: 4.0})
    assert by_task([quiet, driven], ONE) == {"a": pytest.approx(4.0)}
    assert driven_gain([quiet, driven], ONE) == {}
    assert worst([quiet, driven], ONE) == (pytest.approx(4.0), "a_driven")
    assert summary_of([quiet, driven], [], whole=False).excluded == ("a_quiet",)


def test_a_gain_of_driving_is_driven_minus_quiet() -> None:
    """Expected: 86 - 80 = 6, also where the best does not change; a family that was tried is left out."""
    pair = [network("response", "quiet", {ONE: 10.0}), network("response", "driven", {ONE: 4.0})]
    assert driven_gain(pair, ONE) == {"response": pytest.approx(6.0)}
    assert driven_gain(pair, ONE, without="delayed_response") == {}


def test_one_answer_is_confirmed_by_the_t_test_over_tasks() -> None:
    """Must match: SciPy's one-sided t-test of the tasks' losses against 3, and Holm's factor."""
    lost = [0.0, 1.0, 2.0, 0.5, 1.5, 1.0, 0.0, 1.0]
    one, pair, start = claims(tasks(lost, former=1.0), whole=True)
    assert one.p_confirmed == pytest.approx(stats.ttest_1samp(lost, 3.0, alternative="less").pvalue)
    assert one.p_refuted == pytest.approx(1 - (one.p_confirmed or 0))
    assert one.verdict == "confirmed"
    assert pair.verdict == "confirmed"  # the second setting of the pair is never kept: ties go to the first
    assert start.p_confirmed is not None  # both starts are alike


def test_three_networks_above_eight_are_not_confirmed() -> None:
    """Must differ: a small mean with two tasks (four networks) at 8.5 is no one answer; nor are five tasks."""
    lost = [8.5, 8.5, *[-4.0] * 8]
    assert claims(tasks(lost), whole=True)[0].p_confirmed == 1.0
    assert claims(tasks([0.0] * 5), whole=True)[0].verdict == "open"
    assert claims(tasks([0.0] * 10), whole=False)[0].verdict == "open"


def test_a_large_mean_is_refuted() -> None:
    """Expected: losses about 12 refute one answer."""
    assert claims(tasks([11.0, 12.0, 13.0, 12.0, 11.0, 13.0]), whole=True)[0].verdict == "refuted"


def test_the_later_claim_is_about_a_pair_and_its_worst_network() -> None:
    """Must match SciPy's t-test of the pair's losses against 2; must differ: one network at 11, or five tasks."""
    lost = [0.0, 1.0, 0.5, 1.5, 1.0, 0.0]
    found = later_claim(tasks(lost, former=20.0), whole=True)
    assert found.p_confirmed == pytest.approx(stats.ttest_1samp(lost, 2.0, alternative="less").pvalue)
    assert found.verdict == "confirmed"
    one_bad = [*tasks([-3.0] * 7), network("task7", "quiet", {ONE: 11.0, FORMER: 11.0})]
    assert later_claim(one_bad, whole=True).p_confirmed == 1.0
    assert later_claim(tasks(lost[:5]), whole=True).verdict == "open"
    assert later_claim(tasks(lost), whole=False).verdict == "open"


def test_the_best_is_chosen_anew_by_validation_of_other_seeds() -> None:
    """Expected: the setting that alone loses nothing on the seeds before; its loss is 0, and the former best's 5."""
    before = network("a", "quiet", {one: 3.0 for one in SETTINGS if one != OTHER})
    (found,) = chosen_anew([network("a", "quiet", {BEST: 5.0})], [before])
    assert found.best == OTHER
    assert (found.loss(OTHER), found.loss(BEST)) == (pytest.approx(0.0), pytest.approx(5.0))


def test_the_rule_of_advice() -> None:
    """Expected: the confirmed setting; else the least mean of those below 10 everywhere; else the least worst."""
    fine = tasks([1.0, 1.5, 1.2, 0.8, 1.1, 0.9])
    assert advice(fine, claims(fine, whole=True)).setting == ONE
    bad = tasks([11.0, 12.0, 13.0, 12.0, 11.0, 13.0], former=2.0, other=1.0)
    found = advice(bad, claims(bad, whole=True))
    assert found.setting in SETTINGS[3:]  # they lose nothing
    all_bad = [
        network(
            f"task{place}", start, {one: 11.0 + rank for rank, one in enumerate(SETTINGS) if one != ONE} | {ONE: 30.0}
        )
        for place in range(6)
        for start in ("quiet", "driven")
    ]
    assert advice(all_bad, claims(all_bad, whole=True)).setting == OTHER


def test_a_network_is_compared_where_every_run_is_stored() -> None:
    """Expected: the best setting by mean validation at its own rate; a network that lacks a run is left out."""

    def stored(task: str, block: str, seed: int, rate: float, validation: float, one: Any) -> Any:
        cell = {
            "surrogate": one.surrogate,
            "width_fwhm": one.width_fwhm,
            "neuron.reset_gradient": one.reset,
            "optimizer.lr": rate,
        }
        return SimpleNamespace(task=task, block=block, seed=seed, cell=cell, validation=validation, accuracy=1.0)

    chosen = [
        stored(task, "C", seed, rate, 50.0 + (rate == 0.02) * (10 if one == SETTINGS[2] else 0), one)
        for task in ("a_quiet", "b_quiet")
        for seed in (1, 2)
        for rate in (0.005, 0.02)
        for one in SETTINGS
    ]
    after = [stored(task, "D", 3, 0.02, 50.0, one) for task in ("a_quiet", "b_quiet") for one in SETTINGS][:-1]
    block = SimpleNamespace(tasks=("a_quiet", "b_quiet"), seeds=SimpleNamespace(values=(3,)))
    scores: Any = SimpleNamespace(
        study=SimpleNamespace(blocks={"C": block, "D": block}), block=lambda name: {"C": chosen, "D": after}[name]
    )
    (found,) = networks_of(scores, ["D"], ["C"])
    assert (found.name, found.best) == ("a_quiet", SETTINGS[2])
