"""Three levels by passing steps: borders and errors counted by hand, and the shipped ones those of the page."""

import pytest

from sgbench.diagnosis.advice import DETACHED, LevelBorders
from study.passing_steps.analysis.evidence import TaskEvidence
from study.passing_steps.analysis.first_study import cells_of, fixed_borders, judged
from tests.rooms import ROOT

PAGE = ROOT / "docs" / "passing_steps" / "first_study.md"
BORDERS = LevelBorders(0.5, 2.0, 8.0)


def task(*cells):
    """A task of guessing 10 whose cells have these passing steps and accuracies, width = steps / 10."""
    places = [("atan", steps / 10) for steps, _ in cells]
    accuracy = dict(zip(places, (value for _, value in cells), strict=True))
    return TaskEvidence(accuracy, dict(zip(places, (steps for steps, _ in cells), strict=True)), 10.0)


KNOWN = task((0.3, 60.0), (1.0, 90.0), (1.8, 88.0), (6.0, 60.0), (9.0, 11.0))


def test_borders_are_those_that_tell_every_cell():
    """By hand: fine are 1 and 1.8, failed is 9; the first candidates between them are .35, 2 and 8."""
    cells = cells_of(KNOWN, 90.0)
    assert [level for _, level in cells] == [
        "short dependencies only",
        "fine",
        "fine",
        "short dependencies only",
        "fails",
    ]
    borders = fixed_borders([cells])
    assert borders == (0.35, 2, 8)
    assert judged(borders, cells) == (5, 0, 0)


def test_errors_on_another_task_are_counted():
    """By hand: a network of 1 step that fails is wrong by two levels, one of 6 that is fine by one."""
    other = task((1.0, 12.0), (6.0, 90.0), (9.0, 10.0))
    assert judged(BORDERS, cells_of(other, 90.0)) == (3, 2, 1)


def test_the_best_cell_of_both_resets_is_what_fine_means():
    """Must differ: a cell that is best at its own reset fails where the other reset has a far better one."""
    assert cells_of(task((1.0, 30.0)), 30.0)[0][1] == "fine"
    assert cells_of(task((1.0, 30.0)), 90.0)[0][1] == "fails"


def test_a_width_can_stand_in():
    """By hand: the number that is told apart is the width."""
    assert [number for number, _ in cells_of(KNOWN, 90.0, by_width=True)] == pytest.approx([0.03, 0.1, 0.18, 0.6, 0.9])


def test_shipped_borders_are_those_of_the_page():
    """Must match: what `sgbench diagnose` says rests on the borders that the report computes from the records."""
    text = PAGE.read_text()
    assert f"By all five tasks fine is {DETACHED.least:g} to {DETACHED.fine:g} passing steps" in text
    assert f"above {DETACHED.most:g} a network fails" in text
