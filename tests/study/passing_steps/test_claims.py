"""The second study's claims, decided on scores made up for the test, against numbers by hand and scipy."""

import numpy as np
import pytest
from scipy import stats

from sgbench.study_runner.definition import parse_study
from sgbench.study_runner.scores import Score, StudyScores
from study.passing_steps.analysis.cells import CHOOSING, LOOKS, TaskRuns, cell, grid
from study.passing_steps.analysis.claims import CLAIMS, decide, look
from study.passing_steps.analysis.evidence import SHAPES, WIDTHS
from study.passing_steps.analysis.report import number_of
from study.reporting.verdicts import limits

TASKS = ("first", "second", "third")
CALIBRATED = {"triangle": 0.3, "atan": 0.15}
LAST = LOOKS[-1][-1]


def study():
    """A study of three tasks with a grid and cells of passing steps."""
    task = {"words": ["experiment=digits"], "outcome": "accuracy", "run_s": 1.0}
    seeds = {"first": 200, "count": 20}
    shared = {"tasks": list(TASKS), "purpose": "report", "seeds": seeds}
    calibrated = [
        {
            "tasks": [name],
            "cells": [
                {"surrogate": shape, "width_fwhm": width, "neuron.reset_gradient": "attached"}
                for shape, width in CALIBRATED.items()
            ],
        }
        for name in TASKS
    ]
    values = {"surrogate": list(SHAPES), "width_fwhm": list(WIDTHS)}
    tree = {
        "about": "made up",
        "registration": "none.md",
        "seeds": {"report": seeds},
        "tasks": {name: {**task, "title": f"the {name}"} for name in TASKS},
        "blocks": {
            "G": {
                "about": "grid",
                **shared,
                "grids": [{"values": {**values, "neuron.reset_gradient": ["detached", "attached"]}}],
            },
            "R": {"about": "calibrated", **shared, "grids": calibrated},
        },
    }
    return parse_study(tree, "here")


def scored(accuracy, last=LAST, validation=None):
    """Scores of every cell, seed and task by functions of task, shape, width, reset and seed."""
    runs = []
    for task in TASKS:
        for shape in SHAPES:
            cells = [*grid(shape), cell(shape, CALIBRATED[shape], "attached")]
            for one in cells:
                for seed in range(200, last + 1):
                    given = (task, shape, one["width_fwhm"], one["neuron.reset_gradient"], seed)
                    runs.append(_score(given, one, accuracy(*given), (validation or accuracy)(*given)))
    return StudyScores(study(), {}, runs)


def _score(given, one, accuracy, validation):
    task, *_, seed = given
    settings = {**one}
    return Score("G", task, "report", seed, one, settings, accuracy, validation, None, False, None, 10.0)


def by_reset(task, shape, width, reset, seed):
    """90 points, a hundredth a seed; detached loses 8 at 0.5 and nothing at 0.1; R loses what its task says."""
    loses = 8.0 if reset == "detached" and width == 0.5 else 0.0
    if width == CALIBRATED[shape]:
        loses = {"first": 0.5, "second": 1.0, "third": 1.5}[task]
    if reset == "attached" and width != CALIBRATED[shape]:
        loses = 0.2  # so that the best of all is detached
    return 90.0 - loses + (seed - 200) / 100


def test_each_claim_is_the_number_that_was_registered():
    """By hand: R loses .5, 1 and 1.5; attached loses .2 at the best detached width and wins 7.8 at 0.5."""
    decided = {one.claim.name: one for one in decide(scored(by_reset))}
    assert list(decided) == ["P1", "P1b", "P2a", "P2b"]
    numbers = {name: one.looks[0].by_task for name, one in decided.items()}
    assert numbers["P1"] == pytest.approx({"first": 0.5, "second": 1.0, "third": 1.5})
    assert numbers["P1b"] == pytest.approx({"first": -0.3, "second": -0.8, "third": -1.3})
    assert numbers["P2a"] == pytest.approx(dict.fromkeys(TASKS, -0.2))
    assert numbers["P2b"] == pytest.approx(dict.fromkeys(TASKS, 7.8))
    assert decided["P1"].looks[0].seeds == tuple(range(205, 210))


def test_limits_are_those_of_a_t_interval():
    """Expected: scipy's own interval of twice the level."""
    numbers = [0.3, -1.2, 2.4, 0.9, 1.1]
    low, high = stats.t.interval(0.94, 4, loc=np.mean(numbers), scale=stats.sem(numbers))
    assert limits(numbers, 0.03) == pytest.approx((low, high))


@pytest.mark.parametrize(
    ("name", "numbers", "verdict"),
    [
        ("P1", (0.5, 1.0, 0.8), "confirmed"),
        ("P1", (5.5, 6.0, 5.8), "refuted"),
        ("P1", (0.5, 6.0, 2.8), "open"),
        ("P1b", (1.0, 1.2, 1.1), "confirmed"),
        ("P1b", (-1.0, -1.2, -1.1), "refuted"),
        ("P2a", (-0.2, -0.3, 0.1), "confirmed"),
        ("P2a", (-2.2, -2.3, -2.1), "refuted"),
        ("P2b", (7.0, 7.4, 7.2), "confirmed"),
        ("P2b", (1.0, 1.4, 1.2), "refuted"),
    ],
)
def test_verdicts_by_side_of_the_border(name, numbers, verdict):
    """By hand: three numbers of a spread of tenths lie on one side of their border, of points on none."""
    claim = next(one for one in CLAIMS if one.name == name)
    assert look(claim, dict(zip(TASKS, numbers, strict=True)), LOOKS[0]).verdict == verdict


def test_validation_chooses_on_the_first_seeds_and_test_compares_on_others():
    """Must differ: what is best on seeds 200 to 204 is taken, whatever it scores later; test never chooses."""

    def validation(task, shape, width, reset, seed):
        early = seed in CHOOSING
        return 99.0 if early and (width, reset) == (2.0, "attached") else 50.0 + (0 if early else width)

    def accuracy(task, shape, width, reset, seed):
        return 40.0 if width == 2.0 else 80.0

    task = TaskRuns(scored(accuracy, validation=validation), "first")
    assert task.reference("atan") == cell("atan", 2.0, "attached")
    assert task.accuracy(task.reference("atan"), LOOKS[0]).tolist() == [40.0] * 5


def test_r_better_than_f_is_asked_only_where_r_is_good():
    """Expected: R that loses 20 points refutes the first claim, so that the second is not decided."""

    def accuracy(task, shape, width, reset, seed):
        loses = {"first": 20.0, "second": 20.5, "third": 21.0}[task]
        return 90.0 - loses if width == CALIBRATED[shape] else 90.0

    decided = {one.claim.name: one for one in decide(scored(accuracy))}
    assert decided["P1"].verdict == "refuted"
    assert decided["P1b"].verdict == "not decided"
    assert "P1" in decided["P1b"].why


def test_a_second_look_is_taken_where_the_first_is_open():
    """Expected: looks of 5 and 15 seeds where tasks differ; one where the first decides."""

    def accuracy(task, shape, width, reset, seed):
        loses = {"first": 0.0, "second": 6.0, "third": 3.0}[task]
        return 90.0 - loses if width == CALIBRATED[shape] else 90.0

    decided = {one.claim.name: one for one in decide(scored(accuracy))}
    assert [len(one.seeds) for one in decided["P1"].looks] == [5, 15]
    assert decided["P1"].verdict == "open"
    assert [len(one.seeds) for one in decided["P2a"].looks] == [5]


def test_missing_runs_decide_nothing():
    """Expected: no look, no verdict, and the first task that lacks runs."""
    decided = {one.claim.name: one for one in decide(scored(by_reset, last=206))}
    assert {one.verdict for one in decided.values()} == {"not decided"}
    assert "first: 3 runs of" in decided["P2b"].why


def test_a_task_with_all_its_runs_has_a_number_before_the_others_do():
    """By hand: of runs up to seed 206 no task has one; with all runs of the first, it has 0.5."""
    few = scored(by_reset, last=206)
    whole = scored(by_reset)
    part = StudyScores(study(), {}, [run for run in whole.runs if run.task == "first" or run.seed < 205])
    (claim, *_) = decide(part)
    assert claim.verdict == "not decided"
    assert number_of(claim, TaskRuns(part, "first")) == pytest.approx(0.5)
    assert number_of(claim, TaskRuns(part, "second")) is None
    assert number_of(claim, TaskRuns(few, "first")) is None
