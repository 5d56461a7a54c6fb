"""Times of contenders in one process, in turn, and what is made of them."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from sgbench.errors import InputError

NEIGHBOUR = """
import os, sys
parent = int(sys.argv[1])
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, range(os.cpu_count()))
print(flush=True)
while os.getppid() == parent:
    for _ in range(100_000):
        pass
"""
"""A process that spins until it is ended or its parent is gone."""


@dataclass
class Times:
    """Holds the times of one contender, one entry a round."""

    cpu_ms: list[float] = field(default_factory=list)  # of all threads of the process
    wall_ms: list[float] = field(default_factory=list)

    def add(self, cpu_ms: float, wall_ms: float) -> None:
        self.cpu_ms.append(cpu_ms)
        self.wall_ms.append(wall_ms)


@dataclass(frozen=True)
class Spread:
    """Holds the middle and the ends of some values."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: list[float]) -> Spread:
        """Summarise at least one value.

        >>> Spread.of([3.0, 1.0, 2.0])
        Spread(median=2.0, low=1.0, high=3.0)
        """
        return Spread(statistics.median(values), min(values), max(values))


def ratios(baseline_ms: list[float], contender_ms: list[float]) -> Spread:
    """Compute how many times faster a contender is than the baseline: median and ends of their ratios by round.

    Each round gives one ratio, because a slow moment of the machine then touches both of its terms.

    >>> ratios([10.0, 20.0, 60.0], [5.0, 5.0, 10.0])
    Spread(median=4.0, low=2.0, high=6.0)
    """
    pairs = zip(baseline_ms, contender_ms, strict=True)
    return Spread.of([base / max(other, 1e-9) for base, other in pairs])


def interleave(
    steps: Mapping[str, Callable[[], object]],
    rounds: int,
    warm_up: int = 1,
    resets: Mapping[str, Callable[[], object]] | None = None,
) -> dict[str, Times]:
    """Time all in turn: A B C, C B A, A B C ...

    `steps`: what is timed, by name. `rounds`: times that each is run. `warm_up`: runs of each beforehand. `resets`:
    what is called before each timed run of a name, untimed; so that a step does not depend on how many went before, as
    the firing rate of a network that goes on training on one batch does.
    """
    names = list(steps)
    resets = {} if resets is None else resets
    for name in names * warm_up:
        steps[name]()
    times = {name: Times() for name in names}
    for turn in range(rounds):
        gc.collect()
        for name in names if turn % 2 == 0 else names[::-1]:
            if name in resets:
                resets[name]()
            clock = Clock()
            steps[name]()
            times[name].add(*clock.read_ms())
    return times


class Clock:
    """Measures CPU and wall time from the moment that it is made."""

    def __init__(self) -> None:
        self.cpu_s = time.process_time()
        self.wall_s = time.perf_counter()

    def read_ms(self) -> tuple[float, float]:
        """Return CPU and wall time so far [ms]."""
        return (time.process_time() - self.cpu_s) * 1e3, (time.perf_counter() - self.wall_s) * 1e3


def forked(measure: Callable[..., Any], *arguments: object) -> Any:
    """Call a function in a forked process, which has all that is imported and compiled here, and return its result."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(measure, arguments)


@contextlib.contextmanager
def limited(threads: int) -> Iterator[list[int]]:
    """Limit this process to some threads on as many cores; yield the cores, none where the system does not report them.

    Some frameworks do not heed torch's number of threads, but all heed the cores of their process.
    """
    before = torch.get_num_threads()
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if allowed and threads > len(allowed):
        raise InputError(f"--threads={threads}: this process may use {len(allowed)} cores")
    cores = allowed[-threads:]
    try:
        if cores:
            os.sched_setaffinity(0, cores)
        torch.set_num_threads(threads)
        yield cores
    finally:
        torch.set_num_threads(before)
        if allowed:
            os.sched_setaffinity(0, allowed)


@contextlib.contextmanager
def neighbour(*, busy: bool) -> Iterator[None]:
    """Run a process that spins beside the measurement, if `busy`; it ends with the block, or with this process."""
    if not busy:
        yield
        return
    command = [sys.executable, "-c", NEIGHBOUR, str(os.getpid())]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603 - our own interpreter
    try:
        if child.stdout is not None:
            child.stdout.readline()  # it spins from here on
        yield
    finally:
        child.kill()
        child.communicate()
