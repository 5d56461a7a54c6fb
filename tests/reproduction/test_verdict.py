"""Arithmetic of verdicts against numbers worked out by hand."""

import math

import pytest

from sgbench.records.content import EpochScores
from sgbench.reproduction.definition import Figure
from sgbench.reproduction.stored import measured
from sgbench.reproduction.verdict import ConditionCell, judge
from tests.leaderboard import factory


def figure(**changes) -> Figure:
    return Figure.model_validate({"line": "a", "of": ["b"], "evidence": "by hand"} | changes)


def cell(*values: float | None, rank: float = 0.0) -> ConditionCell:
    return ConditionCell(dict(enumerate(values)), rank)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((0.8, 0.9), "agrees"),  # mean 0.85
        ((0.75, 0.85), "agrees"),  # mean 0.8, exactly 0.9 - 0.1
        ((1.0, 1.0), "agrees"),  # exactly 0.9 + 0.1
        ((0.74, 0.85), "does not agree"),  # mean 0.795
        ((1.0, 1.002), "does not agree"),
    ],
)
def test_published_figure_with_its_tolerance(values, verdict):
    """Expected: agreement from 0.8 to 1.0, both ends included, for 0.9 within 0.1."""
    found = judge(figure(published=0.9, tolerance=0.1), {"b": [cell(*values)]})
    assert found.verdict == verdict
    assert found.ours == pytest.approx(sum(values) / 2, rel=1e-15)


@pytest.mark.parametrize(
    ("bound", "value", "verdict"),
    [
        ({"at_least": 0.3}, 0.3, "agrees"),
        ({"at_least": 0.3}, 0.29, "does not agree"),
        ({"at_most": 0.05}, 0.05, "agrees"),
        ({"at_most": 0.05}, 0.051, "does not agree"),
        ({"at_most": 0.05}, -1.0, "agrees"),
    ],
)
def test_bounds(bound, value, verdict):
    """Expected: the bound itself agrees."""
    assert judge(figure(**bound), {"b": [cell(value)]}).verdict == verdict


def test_deviation_is_that_of_the_seeds():
    """Expected by hand: of 1, 2, 4 the mean 7/3 and the sample deviation sqrt(7/3); none of one seed."""
    found = judge(figure(at_least=0.0), {"b": [cell(1.0, 2.0, 4.0)]})
    assert found.ours == pytest.approx(7 / 3)
    assert found.deviation == pytest.approx(math.sqrt(7 / 3))
    assert found.seeds == 3
    assert judge(figure(at_least=0.0), {"b": [cell(1.0)]}).deviation is None


def test_best_cells_are_those_of_validation():
    """Expected: means of the cells of the largest ranks, though others score more; None takes all."""
    cells = {"b": [cell(0.5, rank=0.9), cell(1.0, rank=0.1), cell(0.7, rank=0.8)]}
    for best, expected in ((1, 0.5), (2, 0.6), (3, 2.2 / 3), (None, 2.2 / 3)):
        assert judge(figure(at_least=0.0, best_cells=best), cells).ours == pytest.approx(expected)


def test_gap_is_that_of_the_smallest_above_the_last():
    """Expected by hand: min(0.9, 0.7) - 0.4 = 0.3; its deviation from seeds, of 0.2 and 0.4."""
    cells = {"b": [cell(0.9, 0.9)], "c": [cell(0.6, 0.8)], "d": [cell(0.4, 0.4)]}
    found = judge(figure(of=["b", "c", "d"], statistic="gap", at_least=0.31), cells)
    assert found.ours == pytest.approx(0.3)
    assert found.deviation == pytest.approx(math.sqrt(0.02))
    assert found.verdict == "does not agree"
    turned = judge(figure(of=["d", "b"], statistic="gap", at_least=0.0), cells)
    assert turned.ours == pytest.approx(-0.5)


def test_spread_is_largest_above_smallest():
    """Expected by hand: 0.9 - 0.6."""
    cells = {"b": [cell(0.9)], "c": [cell(0.6)], "d": [cell(0.7)]}
    found = judge(figure(of=["b", "c", "d"], statistic="spread", at_most=0.3), cells)
    assert found.ours == pytest.approx(0.3)
    assert found.verdict == "agrees"


def test_a_run_that_is_not_there_is_never_agreement():
    """Expected: not measured, with the number of runs; must match: with the value it agrees."""
    found = judge(figure(at_least=0.0), {"b": [cell(0.5, None), cell(None, 0.5)]})
    assert (found.verdict, found.ours, found.note) == ("not measured", None, "2 runs without a result")
    assert judge(figure(at_least=0.0), {"b": [cell(0.5, 0.5)]}).verdict == "agrees"


def epoch(number: int, loss: float, accuracy: float | None) -> EpochScores:
    return EpochScores(epoch=number, train_loss=0.0, validation_loss=loss, validation_accuracy=accuracy)


def test_measures_of_a_finished_run():
    """Expected by hand: test 0.8; of the curve the last accuracy 0.6, the last loss 2, the lowest error 1 - 0.7."""
    curve = (epoch(0, 3.0, 0.7), epoch(1, 2.0, 0.6))
    record = factory.record(accuracy=0.8).model_copy(update={"curve": curve})
    kinds = ("test_accuracy", "last_accuracy", "last_loss", "lowest_error")
    assert [measured(record, kind) for kind in kinds] == pytest.approx([0.8, 0.6, 2.0, 0.3])
    without = record.model_copy(update={"curve": (epoch(0, 3.0, None),)})
    assert measured(without, "lowest_error") is None
    assert measured(record.model_copy(update={"curve": ()}), "last_loss") is None


def test_a_run_that_turned_to_nan_is_right_by_chance():
    """Expected: 1/10 of ten classes, no loss; must differ: a failure of the machine says nothing."""
    record = factory.record(accuracy=None)
    assert measured(record, "test_accuracy") == measured(record, "last_accuracy") == 0.1
    assert measured(record, "lowest_error") == pytest.approx(0.9)
    assert measured(record, "last_loss") is None
    machine = record.failure.model_copy(update={"kind": "OutOfMemoryError"})
    assert measured(record.model_copy(update={"failure": machine}), "test_accuracy") is None
