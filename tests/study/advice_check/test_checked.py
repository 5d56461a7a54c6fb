"""Losses of printed tries, by hand; what is printed is what was run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from sgbench.recommendation.answer import read_answer
from sgbench.study_runner.definition import load_study
from study.advice_check.analysis.report import CheckedNetwork, checked, read_printed, words_of
from tests.rooms import ROOT

ONE, OTHER, THIRD = (
    "neuron.reset_gradient=attached surrogate=atan width_fwhm=" + width for width in ("0.1", "0.2", "1")
)


def run(accuracy: float, validation: float, seed: int = 1, width: float = 0.1, rate: float = 0.01) -> Any:
    cell = {"surrogate": "atan", "width_fwhm": width, "neuron.reset_gradient": "attached", "optimizer.lr": rate}
    return SimpleNamespace(task="a", cell=cell, seed=seed, accuracy=accuracy, validation=validation, guess=50.0)


def test_the_better_try_is_kept_seed_by_seed_and_held_against_the_best_by_test() -> None:
    """By hand: kept are 80 (validation 9 beats 8) and 70, so 75; the best has 90 and 88, so 14 are lost.

    Must differ: by mean validation, 34.5 and 34.5, the first of equal ones is chosen, of 60, so that 15 are gained.
    """
    runs = {
        ONE: {1: run(80.0, 9.0), 2: run(40.0, 60.0)},
        OTHER: {1: run(90.0, 8.0), 2: run(70.0, 61.0)},
        THIRD: {1: run(90.0, 1.0), 2: run(88.0, 1.0)},
    }
    network = CheckedNetwork("a", runs, (ONE, OTHER))
    assert (network.kept, network.best, network.loss) == (75.0, THIRD, 14.0)
    assert network.loss_to_chosen == -15.0
    assert not network.holds
    assert network.learns
    assert CheckedNetwork("a", {**runs, THIRD: {1: run(79.0, 1.0), 2: run(81.0, 1.0)}}, (ONE, OTHER)).holds


def test_each_setting_has_the_rate_that_validation_chooses() -> None:
    """By hand: means of validation are 50 and 60, so the second rate counts, though it tests worse."""
    runs = [
        *(run(90.0, validation, seed, rate=0.01) for seed, validation in ((1, 70.0), (2, 30.0))),
        *(run(60.0, 60.0, seed, rate=0.04) for seed in (1, 2)),
    ]
    (network,) = checked(runs, {"a": (ONE,)})
    assert network.mean(ONE) == 60.0


def test_what_is_printed_is_what_is_advised_and_was_run() -> None:
    """Must match: the first two rows of the recurrent answer, the stored words, and cells of the study's file."""
    printed = read_printed(ROOT / "study" / "advice_check")
    assert printed is not None
    advised = next(one for one in read_answer().networks if one.network == "recurrent").settings["accuracy"][:2]
    words = tuple(" ".join(one.words) for one in advised)
    study = load_study("advice_check").study
    assert {*printed.tries.values()} == {words}
    assert printed.tries.keys() == study.tasks.keys()
    cells = {words_of({**cell, "optimizer.lr": 1}) for cell in study.blocks["A"].grids[0].cells}
    assert {*words} <= cells
