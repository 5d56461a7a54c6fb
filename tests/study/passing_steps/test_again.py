"""Runs that were made again, against stored ones: equal, different and missing ones by hand."""

from types import SimpleNamespace

from study.passing_steps.analysis.report import agreeing


def entry(key, test, counts="same"):
    """A stored run: what is compared of it."""
    return SimpleNamespace(key=key, record=SimpleNamespace(validation=0.5, test=test, counts=counts))


def test_runs_agree_where_scores_and_counts_are_equal():
    """By hand: of four runs one differs in its test, one in its counts, and one is not stored: 1 of 4 agrees."""
    again = [entry("a", 0.1), entry("b", 0.2), entry("c", 0.3), entry("d", 0.4)]
    stored = [entry("a", 0.1), entry("b", 0.21), entry("c", 0.3, "other"), entry("e", 0.4)]
    assert agreeing(again, stored) == (1, 4)
