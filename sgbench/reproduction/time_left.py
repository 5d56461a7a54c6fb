"""Estimates how long a list of reproductions takes, from their stated times and the pace of finished runs."""

from __future__ import annotations

from collections.abc import Sequence

from sgbench.reproduction.definition import Reproduction
from sgbench.reproduction.runs import ReproductionGrid, unfinished

MINUTE_S = 60.0


def stated_s(one: Reproduction, grids: Sequence[ReproductionGrid]) -> float:
    """Return the time that a reproduction states for the runs without a record [s].

    Args:
        one: whose file states the minutes of all runs of its figures; 0 where it does not.
        grids: those runs first, others behind, each of which is taken to last as long.
    """
    if one.minutes is None or not grids:
        return 0.0
    specs, left = unfinished(grids)
    return MINUTE_S * one.minutes * len(left) / len(grids[0].specs()) if specs else 0.0


def left_s(stated: Sequence[float], done: int, used_s: float) -> float:
    r"""Estimate the time that a list of reproductions still takes [s].

    .. math:: L = \frac{u}{\sum_{i < d} m_i} \sum_{i \ge d} m_i

    with the times m stated, d reproductions done in the time u, and a pace of 1 before any run.

    Args:
        stated: m [s].
        done: d.
        used_s: u [s].

    >>> left_s([60.0, 120.0], 0, 0.0), left_s([60.0, 120.0], 1, 90.0)  # as stated; two thirds as fast
    (180.0, 180.0)
    """
    before, behind = sum(stated[:done]), sum(stated[done:])
    return behind * used_s / before if before else behind
