"""When a cost of activity is free: verdicts by hand."""

import math

import pytest

from study.passing_steps.analysis.activity import ActivityPairs, verdict_of


def pairs(points, share, spread=0.1):
    """Four seeds around a difference in points and a share of spikes left."""
    steps = (-spread, spread, -spread, spread)
    return ActivityPairs([points + one for one in steps], [math.log(share) + one / 10 for one in steps], {})


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        (pairs(0.0, 0.3), pairs(-0.5, 0.4), "confirmed"),
        (pairs(0.0, 0.3), pairs(-2.0, 0.4), "refuted"),
        (pairs(0.0, 0.3), pairs(0.0, 0.7), "refuted"),
        (pairs(0.0, 0.3), pairs(-0.5, 0.4, spread=3.0), "open"),
        (pairs(0.0, 0.3), pairs(0.0, 0.5), "open"),
    ],
)
def test_each_task_has_to_pass(one, other, verdict):
    """By hand: t of four seeds at 95 % is 2.35, so that limits lie .14 from the mean, or 4 with more spread."""
    assert verdict_of({"first": one, "second": other}) == verdict


def test_the_limit_decides_and_not_the_mean():
    """By hand: a mean of -0.9 with limits at -1.04 is open, at a spread of .01 with limits at -.91 confirmed."""
    assert verdict_of({"a": pairs(-0.9, 0.3)}) == "open"
    assert verdict_of({"a": pairs(-0.9, 0.3, spread=0.01)}) == "confirmed"
