"""The benchmark of learnt delays: what it refuses to time, and that its steps train."""

from __future__ import annotations

import pytest
import torch

from benchmarks import delays
from benchmarks.gate import GateError

TINY = delays.DelaysSettings(steps=6, batch=3, inputs=20, hidden=5, longest=3, rounds=1)


@pytest.mark.one_in(2)
def test_a_step_with_delays_is_timed_once_both_engines_agree() -> None:
    """Must match: gradients of the fused engine and of a convolution over time in torch, and each way has a time."""
    tree = delays.compare(TINY)
    assert tree["gradient_error"] < delays.ALLOWED
    assert set(tree["times_without"]) == set(delays.WAYS)
    assert all(way in delays.show(tree) for way in delays.WAYS)


def test_nothing_is_timed_where_gradients_differ() -> None:
    """Must differ: the same gradient but for a thousandth."""
    gradient = [torch.ones(3)]
    with pytest.raises(GateError, match=r"off by 1\.0e-03"):
        delays._largest_error([1.001 * gradient[0]], gradient)
