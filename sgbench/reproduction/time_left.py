"""Estimate how long a list of reproductions takes, from their stated times and the pace of finished runs."""

from collections.abc import Sequence

from sgbench.reproduction.definition import Reproduction
from sgbench.reproduction.runs import ReproductionGrid, unfinished

MINUTE_S = 60.0


def stated_s(reproduction: Reproduction, grids: Sequence[ReproductionGrid]) -> float:
    """Estimate the time of the runs without a record from the minutes that a reproduction states [s].

    `reproduction`: states the minutes of all runs of its figures; without them the estimate is 0. `grids`: the runs of
    its figures, then those of its ablations, each of which is taken to last as long.
    """
    if reproduction.minutes is None or not grids:
        return 0.0
    specs, to_train = unfinished(grids)
    return MINUTE_S * reproduction.minutes * len(to_train) / len(grids[0].specs()) if specs else 0.0


def left_s(stated: Sequence[float], done: int, used_s: float) -> float:
    r"""Estimate the time that a list of reproductions still takes [s].

    .. math:: L = \frac{u}{\sum_{i < d} m_i} \sum_{i \ge d} m_i

    Before the first is done, the stated times alone count.

    `stated`: time m_i that each reproduction states [s]; `done`: d, count of reproductions that are done; `used_s`: u,
    time that these took [s].

    >>> left_s([60.0, 120.0], 0, 0.0), left_s([60.0, 120.0], 1, 90.0)  # as stated; two thirds as fast
    (180.0, 180.0)
    """
    stated_done_s, stated_left_s = sum(stated[:done]), sum(stated[done:])
    return stated_left_s * used_s / stated_done_s if stated_done_s else stated_left_s
