"""The benchmark's arithmetic: ratios, the order in which contenders are timed, and what holds meanwhile."""

from __future__ import annotations

import doctest
import importlib
import os
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks.contenders import build_sgbench
from benchmarks.measure import Spread, interleave, limited, neighbour, ratios
from benchmarks.workloads import Sizes, make_task
from sgbench.errors import InputError


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", ["workloads", "measure", "report", "gate", "comparison", "memory", "whole_run"])
def test_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"benchmarks.{name}"), report=False).failed == 0


def test_ratio_is_the_median_of_each_rounds_own_ratio() -> None:
    """By hand: 10/5, 30/10, 100/20 are 2, 3, 5; of the means it would be 140/35 = 4."""
    assert ratios([10.0, 30.0, 100.0], [5.0, 10.0, 20.0]) == Spread(3.0, 2.0, 5.0)
    assert ratios([10.0, 30.0, 100.0, 7.0], [5.0, 10.0, 20.0, 7.0]) == Spread(2.5, 1.0, 5.0)


@pytest.mark.slow
def test_all_are_timed_in_turn_and_back() -> None:
    seen: list[str] = []
    times = interleave({name: partial(seen.append, name) for name in "abc"}, rounds=3, warm_up=1)
    assert "".join(seen) == "abc" + "abc" + "cba" + "abc"
    assert all(len(own.cpu_ms) == len(own.wall_ms) == 3 for own in times.values())


def test_every_timed_run_begins_where_it_is_reset() -> None:
    """By hand: a resets to 0 and adds 1 each time; b, which has no reset, goes on."""
    reached = {"a": 0, "b": 0}
    seen: list[tuple[str, int]] = []

    def step(name: str) -> None:
        reached[name] += 1
        seen.append((name, reached[name]))

    steps = {name: partial(step, name) for name in reached}
    interleave(steps, rounds=2, resets={"a": lambda: reached.update(a=0)})
    assert seen == [("a", 1), ("b", 1), ("a", 1), ("b", 2), ("b", 3), ("a", 1)]


@pytest.mark.parametrize("engine", ["fused", "scan"])
def test_a_contender_that_is_reset_trains_once_more_from_the_beginning(engine: str) -> None:
    """Must match: losses of two trainings, Adam's steps included. Must differ: those of one that goes on."""
    task = make_task("w1_ff", Sizes(steps=12, batch=4, inputs=40, hidden=12, classes=3, density=0.1))
    contender = build_sgbench(task, engine=engine)
    first, second, third = ([contender.step() for _ in range(3)] for _ in range(3) if contender.reset() is None)
    assert first == second == third
    assert [contender.step() for _ in range(3)] != first


def test_limits_of_threads_and_cores_end_with_the_block() -> None:
    before = os.sched_getaffinity(0), torch.get_num_threads()
    with limited(1) as cores:
        assert os.sched_getaffinity(0) == set(cores)
        assert len(cores) == torch.get_num_threads() == 1
    assert (os.sched_getaffinity(0), torch.get_num_threads()) == before
    with pytest.raises(InputError, match="--threads=100000"), limited(100_000):
        pass


def test_busy_neighbour_ends_with_the_block_whatever_happens() -> None:
    def children() -> set[str]:
        return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())

    before = children()

    def fail_beside_it() -> None:
        with neighbour(busy=True):
            assert len(children() - before) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_beside_it()
    assert children() == before
