"""Shares of failed runs."""

from __future__ import annotations

import numpy as np
import pytest

from sgbench.errors import InputError
from sgbench.statistics.solved import wilson
from study.reporting.failures import share_of_failures


def test_one_cell_has_wilsons_interval(random: np.random.Generator) -> None:
    """The effective number of independent runs is their number."""
    failed = random.random(12) < 0.4
    share, reference = share_of_failures(failed), wilson(int(failed.sum()), 12)
    assert (share.low, share.high, share.runs) == pytest.approx((reference.low, reference.high, 12))


def test_cells_that_fail_together_count_once() -> None:
    """Must differ: ten cells of one pattern over seeds are no ten times as many runs."""
    pattern = np.array([True, True, False, False, False, False])
    copies, single = share_of_failures(np.tile(pattern, (10, 1))), share_of_failures(pattern)
    assert (copies.low, copies.high) == pytest.approx((single.low, single.high))
    naive = wilson(20, 60)
    assert copies.high - copies.low > 2 * (naive.high - naive.low)


def test_cells_that_always_or_never_fail_count_as_their_runs() -> None:
    """Seeds that agree leave no variance: the number of runs is the most that is claimed."""
    failed = np.array([[True] * 5, [False] * 5])
    assert share_of_failures(failed).runs == 10
    assert share_of_failures(np.zeros((3, 5), dtype=bool)).high == pytest.approx(wilson(0, 15).high)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: share_of_failures([0, 1]), "true or false"),
        (lambda: share_of_failures(np.zeros(0, dtype=bool)), "true or false"),
    ],
)
def test_what_is_no_table_of_failures_is_refused(call: object, message: str) -> None:
    """Each message says what is needed."""
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]
