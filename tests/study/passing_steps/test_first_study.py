"""Losses by passing steps, and runs spent against points lost: by hand on made-up cells and runs."""

import pytest

from study.passing_steps.analysis.evidence import RunPoints, TaskEvidence
from study.passing_steps.analysis.first_study import BORDERS, loss_by_steps
from study.passing_steps.analysis.spending import Way, common, picked, spending_charts


def test_cells_are_grouped_by_their_passing_steps():
    """By hand: best 90; steps of 0.4, 0.5 and 20 lie below the first border, at it, and above the last."""
    cells = {("atan", 0.1): 80.0, ("atan", 0.2): 90.0, ("triangle", 1.0): 50.0}
    steps = {("atan", 0.1): 0.4, ("atan", 0.2): 0.5, ("triangle", 1.0): 20.0}
    groups = loss_by_steps(TaskEvidence(cells, steps))
    assert len(groups) == len(BORDERS) - 1
    assert (groups[0], groups[1], groups[-1]) == ([10.0], [0.0], [40.0])


def cell(**runs):
    """Runs by seed, each validation and test."""
    return {int(seed[1:]): RunPoints(*points) for seed, points in runs.items()}


def test_what_one_seed_picks_is_scored_on_the_others():
    """By hand: seed 1 picks the first cell, scored 60 on seed 2; seed 2 the second, scored 75 on seed 1."""
    first, second = cell(s1=(90, 99), s2=(50, 60)), cell(s1=(80, 75), s2=(70, 98))
    assert picked([first, second]) == pytest.approx((60 + 75) / 2)


def test_a_lucky_seed_is_no_gain():
    """Must differ: a cell that is best on the seed that picks and bad elsewhere is scored by elsewhere."""
    lucky = cell(s1=(100, 100), s2=(0, 0), s3=(0, 0))
    steady = cell(s1=(80, 80), s2=(80, 80), s3=(80, 80))
    assert picked([lucky, steady]) == pytest.approx((0 + 80 + 80) / 3)
    assert picked([steady]) == 80


def test_means_are_of_the_tasks_that_all_have():
    """By hand: T4 alone is common; the cheapest way is drawn on top, its mean last."""
    ways = [Way("many", 8, {"T4": 1.0, "T5": 9.0}), Way("none", 0, {"T4": 3.0})]
    assert common(ways) == ["T4"]
    assert [way.mean(common(ways)) for way in ways] == [1.0, 3.0]
    (chart,) = spending_charts(ways).panels
    assert chart.y.names == ("none: 0 runs", "many: 8 runs")
    assert [(point.x, point.y) for point in chart.series[0].points] == [(3.0, 0), (1.0, 1), (9.0, 1)]
    assert [point.x for point in chart.series[-1].points] == [3.0, 1.0]
