"""When a cost of activity is free: verdicts by hand."""

import math
from types import SimpleNamespace

import pytest

from sgbench.study_runner.definition import load_study
from study.passing_steps.analysis import activity
from study.passing_steps.analysis.activity import ActivityPairs, verdict_of
from study.passing_steps.analysis.cells import FIXED, cell


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


@pytest.mark.parametrize("lost", [[0.1, 0.0, -0.1], [-2.1, -2.0, -1.9]])
def test_without_a_ratio_of_spikes_a_claim_stays_open(lost):
    """Expected, from amendment 3: a seed has no ratio, "and then the claim stays open", whatever a task lost."""
    unknown = ActivityPairs(lost, [], {})
    assert verdict_of({"a": unknown}) == "open"
    assert verdict_of({"a": pairs(-2.0, 0.3), "b": unknown}) == "open"
    assert verdict_of({"a": pairs(-2.0, 0.3)}) == "refuted"
    assert verdict_of({}) == "open"


def entry(block, task, seed, points, spikes, settings=None):
    """A stored run of the fixed setting: only what the pairs look at."""
    of = SimpleNamespace(seed=seed, points=points, spikes=spikes)
    of.provenance = SimpleNamespace(versions={"engine": "7" if block in ("C", "B") else "8"})
    return SimpleNamespace(block=block, task=task, record=of, cell={**cell(*FIXED, "attached"), **(settings or {})})


def test_pairs_are_of_equal_seeds_and_of_the_fixed_setting_alone(monkeypatch):
    """By hand: 1 point more and half the spikes on each seed; a run with a rate of its own is no partner.

    Five of the seeds without a cost are of block C, which another version of the engine has run.
    """
    study = load_study("passing_steps").study
    tasks, seeds = study.blocks["A"].tasks, study.blocks["A"].seeds.values
    monkeypatch.setattr(activity, "points_of_run", lambda run: SimpleNamespace(test=run.points))
    monkeypatch.setattr(activity, "log_spikes_of", lambda run: math.log(run.spikes))
    monkeypatch.setattr(activity, "_log_energy", lambda one, target: None)
    plain = [entry("C" if seed < 205 else "B2", task, seed, seed, 4.0) for task in tasks for seed in seeds]
    costly = [entry("A", task, seed, seed + 1.0, 2.0, {"regulariser": "x"}) for task in tasks for seed in seeds]
    other = [entry("E", tasks[0], 207, 0.0, 1.0, {"optimizer.lr": 1.0})]
    found = activity.second_pairs(study, [*plain, *costly, *other])
    assert list(found) == ["store_recall", "evidence", "copy"]
    for pairs in found.values():
        assert pairs.points == [1.0] * 20
        assert pairs.crossing == 5
        assert pairs.log_spikes == pytest.approx([math.log(0.5)] * 20)
    assert activity.second_pairs(study, [*plain[1:], *costly]) == {}
    assert activity.second_pairs(study, [*plain, *costly[1:]]) == {}
